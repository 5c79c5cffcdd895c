"""What was deleted does not come back, and a pass ends when its owner signs out."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of deleted forms, and the turns of officials."""
    op.create_table(
        "spent",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_spent"),
    )
    op.add_column("official", sa.Column("turn", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Take both away."""
    op.drop_column("official", "turn")
    op.drop_table("spent")

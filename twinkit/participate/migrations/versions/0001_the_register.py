"""The register as it began: settings, pins, receipts, supports, events, visits, officials."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SUBJECTS = "subject IN ('no signal', 'slow', 'proposal', 'worry')"
STATES = "state IN ('waiting', 'hidden', 'received', 'studied', 'accepted', 'rejected')"
FLAGS = "flag IN ('', 'repeated', 'flood', 'imported')"
ROLES = "role IN ('viewer', 'moderator', 'planner', 'administrator')"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "setting",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_setting"),
    )
    op.create_table(
        "pin",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("subject", sa.String(12), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("column", sa.Integer, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("flag", sa.String(12), nullable=False),
        sa.Column("reference", sa.String(80)),
        sa.Column("received", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pin"),
        sa.UniqueConstraint("reference", name="uq_pin_reference"),
        sa.CheckConstraint(SUBJECTS, name=op.f("ck_pin_kind")),
        sa.CheckConstraint(STATES, name=op.f("ck_pin_state")),
        sa.CheckConstraint(FLAGS, name=op.f("ck_pin_flag")),
    )
    op.create_index("ix_pin_square", "pin", ["column", "row"])
    op.create_index("ix_pin_digest", "pin", ["digest", "received"])
    op.create_table(
        "receipt",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("pin", sa.Integer, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_receipt"),
        sa.ForeignKeyConstraint(["pin"], ["pin.id"], name="fk_receipt_pin", ondelete="CASCADE"),
        sa.UniqueConstraint("code", name="uq_receipt_code"),
    )
    op.create_table(
        "support",
        sa.Column("pin", sa.Integer, nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("received", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("pin", "person", name="pk_support"),
        sa.ForeignKeyConstraint(["pin"], ["pin.id"], name="fk_support_pin", ondelete="CASCADE"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("pin", sa.Integer, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("by", sa.String(80), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("figures", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sa.ForeignKeyConstraint(["pin"], ["pin.id"], name="fk_event_pin", ondelete="CASCADE"),
    )
    op.create_index("ix_event_pin", "event", ["pin"])
    op.create_table(
        "visit",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_visit"),
    )
    op.create_index("ix_visit_source", "visit", ["source", "at"])
    op.create_table(
        "official",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_official"),
        sa.CheckConstraint(ROLES, name=op.f("ck_official_role")),
    )


def downgrade() -> None:
    """Take the tables away, with all that is in them."""
    for name in ("official", "visit", "event", "support", "receipt", "pin", "setting"):
        op.drop_table(name)

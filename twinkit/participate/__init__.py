"""Participation: citizens' pins in a register that forgets who they are, and what becomes of their proposals.

`register` opens the database; `Register.receive`, `follow` and `withdraw` are the citizen's, `moderate` the
moderator's, `advance` the planner's; `squares` and `proposals` are what everybody sees. `wished` spreads the pins over
the people's pixels, so that a plan can weigh them. `export` and `take_in` speak Decidim's CSV.
"""

from __future__ import annotations

from twinkit.participate.decidim import export, take_in
from twinkit.participate.pin import Happening, Pin, Receipt
from twinkit.participate.register import Register, register
from twinkit.participate.weight import wished

__all__ = ["Happening", "Pin", "Receipt", "Register", "export", "register", "take_in", "wished"]

"""Privacy: counts that may be published, what they cost those who were counted, and what is left for a decision.

`release` adds noise from OpenDP to counts in which nobody weighs more than stated, and writes what it spent into the
ledger of a store, whose budget no release can exceed. `membership`, `audit`, `differencing` and `reidentification`
attack what was published; `common_part` and its neighbours say what is left of the numbers, `regret` what is left of a
decision.
"""

from __future__ import annotations

from twinkit.privacy.account import Cost, composed, concentrated_epsilon
from twinkit.privacy.attack import (
    Evidence,
    audit,
    differencing,
    epsilon_at_least,
    exposed,
    membership,
    proportion,
    reidentification,
)
from twinkit.privacy.consistent import consistent, non_negative
from twinkit.privacy.diaries import diaries
from twinkit.privacy.k_anonymous import k_anonymous
from twinkit.privacy.ledger import budget, ledger, spent
from twinkit.privacy.mechanism import Bound, Noise, gaussian, geometric, laplace
from twinkit.privacy.regret import Regret, carried, corridors, regret
from twinkit.privacy.release import release
from twinkit.privacy.utility import common_part, earth_mover, jensen_shannon, symmetric_error, top_recall

__all__ = [
    "Bound",
    "Cost",
    "Evidence",
    "Noise",
    "Regret",
    "audit",
    "budget",
    "carried",
    "common_part",
    "composed",
    "concentrated_epsilon",
    "consistent",
    "corridors",
    "diaries",
    "differencing",
    "earth_mover",
    "epsilon_at_least",
    "exposed",
    "gaussian",
    "geometric",
    "jensen_shannon",
    "k_anonymous",
    "laplace",
    "ledger",
    "membership",
    "non_negative",
    "proportion",
    "regret",
    "reidentification",
    "release",
    "spent",
    "symmetric_error",
    "top_recall",
]

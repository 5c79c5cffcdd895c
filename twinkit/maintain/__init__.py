"""Maintenance: what is about to fail, what began the alarms, what is strange, and where the crew goes on Monday.

    risk = tk.maintain.remaining_life(tk.telemetry.health(twin), quantile=[0.1, 0.5, 0.9])    # days, by site
    plan = tk.maintain.schedule(twin, risk, base="s0", days=14, crews=1, failure_cost=4000, visit_cost=150, ...)
    told = tk.maintain.root_cause(twin, alarms)
    found = tk.maintain.anomalies(series, per_week=0.1)
    curve = tk.maintain.survival(duration, ended)

`learned_life` learns from your own failures, `policy_cost` says what a plan is worth beside simple policies.
"""

from twinkit.maintain.alarms import AlarmModel, earliest, followers, learned_alarms, root_cause
from twinkit.maintain.anomaly import alarm_score, anomalies, moving_sigma
from twinkit.maintain.chains import chains
from twinkit.maintain.chance import drawn_lives, failed_by
from twinkit.maintain.features import features
from twinkit.maintain.histories import HEALTH, histories
from twinkit.maintain.life import LifeModel, cuts, learned_life, life, remaining_life
from twinkit.maintain.policy import (
    Visits,
    fixed_interval,
    policy_cost,
    run_to_failure,
    saving,
    scheduled,
    weibull_lives,
)
from twinkit.maintain.read import alarm_log, anomaly_series, engines
from twinkit.maintain.schedule import schedule
from twinkit.maintain.survival import kaplan_meier, survival, weibull, weibull_survival
from twinkit.maintain.trial import told_lives

__all__ = [
    "HEALTH",
    "AlarmModel",
    "LifeModel",
    "Visits",
    "alarm_log",
    "alarm_score",
    "anomalies",
    "anomaly_series",
    "chains",
    "cuts",
    "drawn_lives",
    "earliest",
    "engines",
    "failed_by",
    "features",
    "fixed_interval",
    "followers",
    "histories",
    "kaplan_meier",
    "learned_alarms",
    "learned_life",
    "life",
    "moving_sigma",
    "policy_cost",
    "remaining_life",
    "root_cause",
    "run_to_failure",
    "saving",
    "schedule",
    "scheduled",
    "survival",
    "told_lives",
    "weibull",
    "weibull_lives",
    "weibull_survival",
]

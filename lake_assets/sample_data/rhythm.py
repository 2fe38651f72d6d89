"""How many rows a day has, and at which hours they fall.

Belongs here: the week, the growth, the hours of the day, the habits of agents over them.
Does not belong here: what a row holds.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np

from lake_assets.sample_data.planted import Metric, active
from lake_assets.sample_data.seeds import generator
from lake_assets.sample_data.spec import SampleSpec
from lake_assets.sample_data.tables import Table
from lake_assets.sample_data.values import Floats
from lake_assets.sample_data.world import AGENT_IDS, AGENTS

_WEEK = (1.0, 1.04, 1.03, 1.0, 0.92, 0.46, 0.40)
_DAILY_GROWTH = 1.006
_LEAST_SHARE = 0.3
_SATURDAY = 5


def rows_on(table: Table, spec: SampleSpec, day: date) -> int:
    """How many rows an event table has on a day, before relations are looked at."""
    if day.weekday() not in table.profile.weekdays and not table.dataset.expect_rows:
        return 0
    days_ago = (spec.last_day - day).days
    size = spec.rows_per_day * table.profile.rows
    size *= _WEEK[day.weekday()] * max(_DAILY_GROWTH**-days_ago, _LEAST_SHARE)
    size *= generator(spec.seed, table.partition, day, "size").uniform(0.94, 1.06)
    size *= float(agent_hours(table, spec, day).sum() / usual_agent_hours(day).sum())
    # A whole number that is right on average, so that small tables keep their size.
    size += generator(spec.seed, table.partition, day, "rest").uniform()
    return max(1, int(size))


def agent_hours(table: Table, spec: SampleSpec, day: date) -> Floats:
    """The weight of each agent in each hour of a day, planted anomalies included."""
    weights = usual_agent_hours(day)
    if not table.has("agent_id"):
        return weights
    days_ago = (spec.last_day - day).days
    for planted, factor in active(
        partition=table.partition, metric=Metric.VOLUME, days_ago=days_ago
    ):
        weights[AGENT_IDS.index(planted.subject)] *= factor
    return weights


def usual_agent_hours(day: date) -> Floats:
    """The same without anomalies: one row per agent, one column per hour."""
    hours = np.arange(24)
    weights: list[Floats] = []
    for agent in AGENTS:
        around_peak = np.exp(agent.focus * np.cos((hours - agent.peak_hour) * np.pi / 12))
        share = agent.share * (agent.weekend if day.weekday() >= _SATURDAY else 1.0)
        weights.append(share * around_peak / around_peak.sum())
    return np.stack(weights)


def falling_weights(count: int, *, steepness: float = 0.8) -> Floats:
    """Weights of `count` choices, the first one the most frequent."""
    return np.power(1.0 + np.arange(count, dtype=np.float64), -steepness)


def cumulative(weights: Sequence[float] | Floats) -> Floats:
    """Running sum of the weights, scaled to end with 1."""
    total = np.cumsum(np.asarray(weights, dtype=np.float64).ravel())
    return total / total[-1]

"""From which scores on an agent's metric is unusual: one table, measured.

Belongs here: the thresholds, the smallest changes that matter, the rate they stand for.
Does not belong here: scores (`anomaly_baseline`).

Each threshold is the score that `1 - SHARE` of the rows of ordinary days stay below, over the
simulated fleets of `benchmarks.models.calibrate`, never below `LEAST`. `python -m
benchmarks.models.calibrate` prints this table anew. Noise as modelled is normal; where the quantile
lies above that of a normal distribution, days vary more than the model knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

FALSE_ALARM_RATE = 0.001
"""Share of the rows of ordinary days that is flagged at most, over all metrics and tests."""
SHARE = 0.0002
"""Share of ordinary rows beyond the threshold of one side of one test."""
LEAST = 2.6
LEAST_LASTING = 3.3
"""The same of lasting changes, for which many days and spans are looked at."""
FLEET = 4.0
"""Threshold of the mean score of all agents, over how much that mean varies from day to day."""
LEAST_FLEET = 4
"""Agents that make up a fleet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Scores of one metric that are unusual."""

    above: float
    below: float
    lasting: float
    only_more: bool = False
    """Whether less of it is good news."""


THRESHOLDS: Mapping[str, Threshold] = {
    "runs": Threshold(above=3.6, below=3.3, lasting=3.5),
    "requests": Threshold(above=3.6, below=3.5, lasting=3.4),
    "calls": Threshold(above=3.8, below=3.3, lasting=3.3),
    "tokens": Threshold(above=3.6, below=3.2, lasting=3.4),
    "cost_usd": Threshold(above=3.8, below=3.1, lasting=3.4),
    "tokens_per_call": Threshold(above=3.4, below=3.2, lasting=3.5),
    "usd_per_million_tokens": Threshold(above=3.6, below=2.6, lasting=3.3, only_more=True),
    "error_rate": Threshold(above=3.3, below=2.6, lasting=3.3),
    "timeout_rate": Threshold(above=2.6, below=2.6, lasting=4.2),
    "cancelled_rate": Threshold(above=2.8, below=2.6, lasting=3.3),
    "unfinished_rate": Threshold(above=2.6, below=2.6, lasting=3.3),
    "call_error_rate": Threshold(above=3.0, below=2.6, lasting=3.3),
    "request_error_rate": Threshold(above=5.2, below=2.6, lasting=3.3),
    "latency_ms": Threshold(above=3.3, below=3.6, lasting=3.9),
    "slow_latency_ms": Threshold(above=3.3, below=3.3, lasting=3.9),
    "duration_ms": Threshold(above=3.2, below=3.7, lasting=3.9),
    "slow_duration_ms": Threshold(above=3.6, below=3.1, lasting=4.0),
}

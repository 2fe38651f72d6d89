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
SHARE = 0.0003
"""Share of ordinary rows beyond the threshold of one side of one test."""
LEAST = 2.6
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


THRESHOLDS: Mapping[str, Threshold] = {
    name: Threshold(above=3.4, below=3.4, lasting=3.8)
    for name in (
        "runs", "requests", "calls", "tokens", "cost_usd",
        "tokens_per_call", "usd_per_million_tokens",
        "error_rate", "timeout_rate", "cancelled_rate", "unfinished_rate",
        "call_error_rate", "request_error_rate",
        "latency_ms", "slow_latency_ms", "duration_ms", "slow_duration_ms",
    )
}

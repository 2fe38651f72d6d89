"""The anomalies that the sample data contains on purpose, as a detector should find them.

Belongs here: which dataset, whose rows, which days, which metric, by how much.
Does not belong here: how an effect reaches the rows (`course`, `usage`, `rhythm`).

Days are counted back from the sample's last day, so that every sample of two weeks has them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum


class Metric(Enum):
    """What an anomaly changes."""

    TOKENS = "total_tokens"
    """Prompt tokens, and with them cost, are multiplied."""
    ERRORS = "error_rate"
    """Rows fail at the rate that `factor` gives, whatever their usual rate."""
    LATENCY = "latency_ms"
    """Durations are multiplied."""
    VOLUME = "rows"
    """There are that many times the usual rows; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedEvent:
    """One anomaly: rows of `datasets` whose `subject_column` is `subject` differ in `metric`.

    It lasts from `first_day_ago` to `last_day_ago`, both counted back from the sample's last day
    (0). With `daily_growth`, `factor` is multiplied by it once more on each further day. The
    first of `datasets` is where it is to be looked for; the others show the same thing.
    """

    name: str
    datasets: tuple[str, ...]
    subject_column: str
    subject: str
    first_day_ago: int
    last_day_ago: int
    metric: Metric
    factor: float
    daily_growth: float = 1.0
    what: str

    @property
    def dataset(self) -> str:
        """The partition in which it is to be looked for."""
        return self.datasets[0]

    def days(self, last_day: date) -> tuple[date, ...]:
        """The days it lasts in a sample that ends with `last_day`, oldest first."""
        ago = range(self.first_day_ago, self.last_day_ago - 1, -1)
        return tuple(last_day - timedelta(days=days) for days in ago)

    def factor_on(self, days_ago: int) -> float | None:
        """The factor that many days before the last one; None when it does not last then."""
        if not self.last_day_ago <= days_ago <= self.first_day_ago:
            return None
        return self.factor * self.daily_growth ** (self.first_day_ago - days_ago)


_MODEL_CALLS = ("platform/llm_token_usage", "platform/ai_request_log")

PLANTED: tuple[PlantedEvent, ...] = (
    PlantedEvent(
        name="cost_spike",
        datasets=(*_MODEL_CALLS, "agent_run_log"),
        subject_column="agent_id",
        subject="aurora",
        first_day_ago=3,
        last_day_ago=3,
        metric=Metric.TOKENS,
        factor=8.0,
        what="Aurora pasted whole repositories into its prompts for a day: its cost rose sixfold.",
    ),
    PlantedEvent(
        name="error_burst",
        datasets=("agent_run_log",),
        subject_column="agent_id",
        subject="sage",
        first_day_ago=5,
        last_day_ago=5,
        metric=Metric.ERRORS,
        factor=0.6,
        what="An expired credential made six of ten runs of Sage fail for a day.",
    ),
    PlantedEvent(
        name="latency_drift",
        datasets=_MODEL_CALLS,
        subject_column="model",
        subject="claude-sonnet-4",
        first_day_ago=9,
        last_day_ago=0,
        metric=Metric.LATENCY,
        factor=1.0,
        daily_growth=1.12,
        what="One model became slower by 12 % a day, and has not recovered.",
    ),
    PlantedEvent(
        name="silent_agent",
        datasets=("agent_run_log",),
        subject_column="agent_id",
        subject="ember",
        first_day_ago=2,
        last_day_ago=1,
        metric=Metric.VOLUME,
        factor=0.0,
        what="Ember's scheduler was down: no run for two days, and nobody was told.",
    ),
    PlantedEvent(
        name="token_leak",
        datasets=(*_MODEL_CALLS, "agent_run_log"),
        subject_column="agent_id",
        subject="quill",
        first_day_ago=8,
        last_day_ago=4,
        metric=Metric.TOKENS,
        factor=1.5,
        daily_growth=1.5,
        what="Quill never trimmed its context: its prompts grew by half a day until it was reset.",
    ),
    PlantedEvent(
        name="retry_storm",
        datasets=("mcp_request_logs",),
        subject_column="agent_id",
        subject="kestrel",
        first_day_ago=6,
        last_day_ago=6,
        metric=Metric.VOLUME,
        factor=10.0,
        what="Kestrel retried without backoff: ten times its usual requests for a day.",
    ),
    PlantedEvent(
        name="retry_storm_errors",
        datasets=("mcp_request_logs",),
        subject_column="agent_id",
        subject="kestrel",
        first_day_ago=6,
        last_day_ago=6,
        metric=Metric.ERRORS,
        factor=0.8,
        what="The cause and the effect of the same storm: four of five requests were refused.",
    ),
    PlantedEvent(
        name="webhook_outage",
        datasets=("platform/webhook_deliveries",),
        subject_column="target_host",
        subject="hooks.northwind.example",
        first_day_ago=4,
        last_day_ago=4,
        metric=Metric.ERRORS,
        factor=0.97,
        what="A customer's endpoint was down for a day: almost every delivery to it failed.",
    ),
)


def active(
    *, partition: str, metric: Metric, days_ago: int
) -> Iterator[tuple[PlantedEvent, float]]:
    """The anomalies that change `metric` of a dataset on a day, each with its factor."""
    for planted in PLANTED:
        if planted.metric is metric and partition in planted.datasets:
            factor = planted.factor_on(days_ago)
            if factor is not None:
                yield planted, factor

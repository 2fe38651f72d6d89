"""What is measured of every agent on every day.

Belongs here: the metrics, from rows of runs, model calls and gateway requests to agents by days.
Does not belong here: what is usual (`anomaly_baseline`), alarms.

- `runs`, `requests`: rows of the day. `tokens`, `cost_usd`: sums over the day's model calls.
- `error_rate`: runs that failed or timed out, of those that succeeded, failed or timed out.
  `request_error_rate`: requests answered with a status of 400 or more, of all.
- `latency_ms`, `duration_ms`: geometric mean of the model calls' latency and of the duration of
  finished runs, in milliseconds. It moves when all calls or many of them slow down, and hardly
  with a few that hang.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa

from lake_assets.models.series import (
    NONE_NAME,
    Flags,
    Floats,
    Span,
    daily_sums,
    known,
    names_of,
    numbers,
    present_days,
)

RUNS = "agent_run_log"
CALLS = "platform/llm_token_usage"
REQUESTS = "mcp_request_logs"

COLUMNS: Mapping[str, tuple[str, ...]] = {
    RUNS: ("agent_id", "status", "duration_ms"),
    CALLS: ("agent_id", "total_tokens", "cost_usd", "latency_ms"),
    REQUESTS: ("agent_id", "status_code"),
}

_FAILED = ("failed", "timed_out")
_FINISHED = ("succeeded", *_FAILED)


class Kind(Enum):
    """How a metric varies by chance."""

    AMOUNT = "amount"
    """A count, or a sum over a count of rows; a day without rows is 0."""
    RATE = "rate"
    """A share of trials."""
    TYPICAL = "typical"
    """A geometric mean over trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric of all agents: arrays are agents by days.

    `trials` are the rows behind each value; where there is no value, it is NaN. `present` are the
    days of which the lake has rows at all. `spread` is the standard deviation of the logarithm of
    single rows, for geometric means.
    """

    metric: str
    kind: Kind
    agents: tuple[str, ...]
    values: Floats
    trials: Floats
    present: Flags
    spread: Floats


def measures(inputs: Mapping[str, pa.Table], span: Span) -> list[Measure]:
    """Every metric whose input has rows in the span."""
    found: list[Measure] = []
    for name, measure in _MEASURES.items():
        rows = known(inputs[name], span) if name in inputs else None
        if rows is not None and rows.num_rows:
            found += measure(rows, span)
    return found


class _Grid:
    """Rows of one input as agents by days."""

    def __init__(self, rows: pa.Table, span: Span) -> None:
        self.rows = rows
        self._span = span
        self._names = names_of(rows, "agent_id")
        self.present = present_days(rows, span)
        counts = daily_sums(rows, self._names, None, span)
        self.agents = tuple(name for name in counts if name != NONE_NAME)
        self.counts = self._stack(counts)

    def sums(self, values: Floats) -> Floats:
        """The sum of `values` per agent and day; NaN counts as 0."""
        return self._stack(daily_sums(self.rows, self._names, values, self._span))

    def _stack(self, by_name: Mapping[str, Floats]) -> Floats:
        rows = [by_name[agent] for agent in self.agents]
        return np.stack(rows) if rows else np.empty((0, self._span.days))

    def amount(self, metric: str, values: Floats) -> Measure:
        """A measure that is a sum, over the rows of the day."""
        return self._measure(metric, Kind.AMOUNT, values, self.counts, np.zeros(len(self.agents)))

    def rate(self, metric: str, hits: Floats, trials: Floats) -> Measure:
        """A measure that is the share of `hits` in `trials`, both per row."""
        tried = self.sums(trials)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(tried > 0, self.sums(hits) / tried, np.nan)
        return self._measure(metric, Kind.RATE, share, tried, np.zeros(len(self.agents)))

    def typical(self, metric: str, values: Floats) -> Measure:
        """A measure that is the geometric mean of what is above 0."""
        logs = np.log(np.where(values > 0, values, np.nan))
        counted = self.sums((~np.isnan(logs)).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(counted > 0, self.sums(logs) / counted, np.nan)
            within = self.sums(logs**2) - counted * np.nan_to_num(mean) ** 2
        degrees = np.maximum(counted - 1, 0).sum(axis=1)
        spread = np.sqrt(np.maximum(within, 0).sum(axis=1) / np.maximum(degrees, 1))
        return self._measure(metric, Kind.TYPICAL, np.exp(mean), counted, spread)

    def _measure(
        self, metric: str, kind: Kind, values: Floats, trials: Floats, spread: Floats
    ) -> Measure:
        return Measure(
            metric=metric,
            kind=kind,
            agents=self.agents,
            values=values,
            trials=trials,
            present=self.present,
            spread=spread,
        )


def _of_runs(rows: pa.Table, span: Span) -> list[Measure]:
    grid = _Grid(rows, span)
    status = np.array(names_of(rows, "status").to_pylist(), dtype=object)
    finished = np.isin(status, _FINISHED)
    return [
        grid.amount("runs", grid.counts),
        grid.rate(
            "error_rate",
            np.isin(status, _FAILED).astype(np.float64),
            finished.astype(np.float64),
        ),
        grid.typical("duration_ms", np.where(finished, numbers(rows, "duration_ms"), np.nan)),
    ]


def _of_calls(rows: pa.Table, span: Span) -> list[Measure]:
    grid = _Grid(rows, span)
    return [
        grid.amount("tokens", grid.sums(numbers(rows, "total_tokens"))),
        grid.amount("cost_usd", grid.sums(numbers(rows, "cost_usd"))),
        grid.typical("latency_ms", numbers(rows, "latency_ms")),
    ]


def _of_requests(rows: pa.Table, span: Span) -> list[Measure]:
    grid = _Grid(rows, span)
    refused = numbers(rows, "status_code") >= 400
    return [
        grid.amount("requests", grid.counts),
        grid.rate("request_error_rate", refused.astype(np.float64), np.ones(len(refused))),
    ]


_MEASURES: Mapping[str, Callable[[pa.Table, Span], list[Measure]]] = {
    RUNS: _of_runs,
    CALLS: _of_calls,
    REQUESTS: _of_requests,
}

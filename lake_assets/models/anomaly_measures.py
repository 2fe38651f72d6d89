"""What is measured of every agent on every day.

Belongs here: the metrics, from rows of runs, model calls and gateway requests to agents by days.
Does not belong here: what is usual (`anomaly_baseline`), alarms.

- `runs`, `requests`, `calls`: rows of the day. `tokens`, `cost_usd`: sums over the day's model
  calls.
- `error_rate`: runs that failed or timed out, of those that succeeded, failed or timed out. A
  status that is not declared counts as a failure.
  `timeout_rate`: those that timed out, of the same. `cancelled_rate`, `unfinished_rate`: runs that
  were cancelled or are still going, of all. `call_error_rate`: model calls without success, of all.
  `request_error_rate`: requests answered with a status of 400 or more, of all.
- `latency_ms`, `duration_ms`: geometric mean of the model calls' latency and of the duration of
  finished runs, in milliseconds. It moves when all calls or many of them slow down.
- `slow_latency_ms`, `slow_duration_ms`: the same of the slowest tenth. It moves with a few that
  are slow or hang, and varies less than the 95th percentile, which lies in the middle of it.
- `tokens_per_call`, `usd_per_million_tokens`: geometric means over the model calls.

A number that is no number, or infinite, counts as null; a column that an input lacks is null.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.models.series import (
    NONE_NAME,
    Flags,
    Floats,
    Span,
    known,
    names_of,
    numbers,
    places,
    present_days,
)

RUNS = "agent_run_log"
CALLS = "platform/llm_token_usage"
REQUESTS = "mcp_request_logs"

COLUMNS: Mapping[str, tuple[str, ...]] = {
    RUNS: ("agent_id", "status", "duration_ms"),
    CALLS: ("agent_id", "status", "model", "total_tokens", "cost_usd", "latency_ms"),
    REQUESTS: ("agent_id", "status_code"),
}

NOT_FAILED = ("succeeded", "running", "cancelled", "queued", "pending", NONE_NAME)
"""Statuses of runs that are no failure; one that nobody declared yet is one."""
_NOT_ENDED = NOT_FAILED[1:]
CALL_NOT_FAILED = ("success", NONE_NAME)
FIRST_REFUSED = 400
"""HTTP statuses from here on are failures."""

_SLOWEST = 0.1
_SLOWEST_SPREAD = 2.0
"""Standard error of the mean of the slowest tenth, in those of the mean of all, if log-normal."""
_LEAST_SLOWEST_ROWS = 10
_LARGEST = 1e15
_STRIDE = 128.0


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


def clean(rows: pa.Table, column: str) -> Floats:
    """A numeric column; what is null, missing, no number or infinite is NaN."""
    if column not in rows.column_names:
        return np.full(rows.num_rows, np.nan)
    values = numbers(rows, column)
    return np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), np.nan)


def _is_any(rows: pa.Table, column: str, words: tuple[str, ...]) -> Floats:
    """1 where a text is one of `words`, else 0."""
    if column not in rows.column_names:
        return np.full(rows.num_rows, float(NONE_NAME in words))
    options = pc.SetLookupOptions(value_set=pa.array(words))
    found = pc.call_function("is_in", [names_of(rows, column)], options)
    return found.to_numpy().astype(np.float64)


class _Grid:
    """Rows of one input as agents by days."""

    def __init__(self, rows: pa.Table, span: Span) -> None:
        self.present = present_days(rows, span)
        self._days = span.days
        encoded = names_of(rows, "agent_id").dictionary_encode().combine_chunks()
        words: list[str] = encoded.dictionary.to_pylist()
        self.agents = tuple(sorted(word for word in words if word != NONE_NAME))
        # Rows without an agent go to a row of their own, after all agents.
        row_of = {agent: row for row, agent in enumerate(self.agents)}
        rows_of = np.array([row_of.get(word, len(row_of)) for word in words], dtype=np.int64)
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        self._cells = rows_of[codes] * span.days + places(rows, span)
        self.counts = self._summed(None)

    def sums(self, values: Floats) -> Floats:
        """The sum of `values` per agent and day; NaN counts as 0."""
        # Whole micro-units add up to the same sum in any order of the rows, floats do not.
        return self._summed(np.rint(np.nan_to_num(values) * 1e6)) / 1e6

    def _summed(self, weights: Floats | None) -> Floats:
        size = (len(self.agents) + 1) * self._days
        flat = np.bincount(self._cells, weights, minlength=size).astype(np.float64)
        return flat.reshape(-1, self._days)[:-1]

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
        logs = _logs(values)
        counted = self.sums((~np.isnan(logs)).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(counted > 0, self.sums(logs) / counted, np.nan)
        spread = self._row_spread(logs, counted, mean)
        return self._measure(metric, Kind.TYPICAL, np.exp(mean), counted, spread)

    def slowest(self, metric: str, values: Floats) -> Measure:
        """A measure that is the geometric mean of the largest tenth of what is above 0."""
        logs = _logs(values)
        counted = self.sums((~np.isnan(logs)).astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(counted > 0, self.sums(logs) / counted, np.nan)
        spread = _SLOWEST_SPREAD * self._row_spread(logs, counted, mean)
        top = self._top_means(logs, counted)
        return self._measure(metric, Kind.TYPICAL, np.exp(top), counted, spread)

    def _top_means(self, logs: Floats, counted: Floats) -> Floats:
        """The mean of the largest tenth of each agent and day, the last of it in part."""
        used = (self._cells < counted.size) & ~np.isnan(logs)
        group = self._cells[used]
        # One sort of group and value together; a logarithm is far smaller than the stride.
        ordered = np.sort(group * _STRIDE + logs[used])
        sizes = counted.ravel().astype(np.int64)
        ends = np.cumsum(sizes)
        inside = ordered - np.repeat(np.arange(len(sizes)), sizes) * _STRIDE
        sums = np.concatenate(([0.0], np.cumsum(inside)))
        tenth = sizes * _SLOWEST
        whole = np.floor(tenth).astype(np.int64)
        enough = sizes >= _LEAST_SLOWEST_ROWS
        top = np.full(len(sizes), np.nan)
        end, count = ends[enough], whole[enough]
        part = (tenth[enough] - count) * inside[end - count - 1]
        top[enough] = (sums[end] - sums[end - count] + part) / tenth[enough]
        return top.reshape(counted.shape)

    def _row_spread(self, logs: Floats, counted: Floats, mean: Floats) -> Floats:
        within = self.sums(logs**2) - counted * np.nan_to_num(mean) ** 2
        degrees = np.maximum(counted - 1, 0).sum(axis=1)
        return np.sqrt(np.maximum(within, 0).sum(axis=1) / np.maximum(degrees, 1))

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


def _logs(values: Floats) -> Floats:
    return np.log(np.where(values > 0, values, np.nan))


def _of_runs(rows: pa.Table, span: Span) -> list[Measure]:
    grid = _Grid(rows, span)
    finished = 1.0 - _is_any(rows, "status", _NOT_ENDED)
    every = np.ones(rows.num_rows)
    took = np.where(finished > 0, clean(rows, "duration_ms"), np.nan)
    return [
        grid.amount("runs", grid.counts),
        grid.rate("error_rate", 1.0 - _is_any(rows, "status", NOT_FAILED), finished),
        grid.rate("timeout_rate", _is_any(rows, "status", ("timed_out",)), finished),
        grid.rate("cancelled_rate", _is_any(rows, "status", ("cancelled",)), every),
        grid.rate("unfinished_rate", _is_any(rows, "status", ("running",)), every),
        grid.typical("duration_ms", took),
        grid.slowest("slow_duration_ms", took),
    ]


def _of_calls(rows: pa.Table, span: Span) -> list[Measure]:
    grid = _Grid(rows, span)
    tokens, cost = clean(rows, "total_tokens"), clean(rows, "cost_usd")
    latency = clean(rows, "latency_ms")
    failed = 1.0 - _is_any(rows, "status", CALL_NOT_FAILED)
    with np.errstate(invalid="ignore", divide="ignore"):
        price = np.where((tokens > 0) & (cost > 0), 1e6 * cost / tokens, np.nan)
    return [
        grid.amount("calls", grid.counts),
        grid.amount("tokens", grid.sums(tokens)),
        grid.typical("tokens_per_call", tokens),
        grid.amount("cost_usd", grid.sums(cost)),
        grid.typical("usd_per_million_tokens", price),
        grid.rate("call_error_rate", failed, np.ones(rows.num_rows)),
        grid.typical("latency_ms", latency),
        grid.slowest("slow_latency_ms", latency),
    ]


def _of_requests(rows: pa.Table, span: Span) -> list[Measure]:
    grid = _Grid(rows, span)
    refused = clean(rows, "status_code") >= FIRST_REFUSED
    return [
        grid.amount("requests", grid.counts),
        grid.rate("request_error_rate", refused.astype(np.float64), np.ones(len(refused))),
    ]


_MEASURES: Mapping[str, Callable[[pa.Table, Span], list[Measure]]] = {
    RUNS: _of_runs,
    CALLS: _of_calls,
    REQUESTS: _of_requests,
}

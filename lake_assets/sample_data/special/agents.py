"""Spans of runs, and what is measured about agents.

Belongs here: special columns of `platform/agent_traces`, `platform/agent_workload`,
`platform/agent_performance_metrics`, `platform/agent_quality_trends`,
`platform/zeromemory_stats` and `platform/swarm_quotas`.
Does not belong here: what holds for columns of any dataset (`rules`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import actors, course, usage
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.rules import identity, times
from lake_assets.sample_data.seeds import mix64
from lake_assets.sample_data.values import Floats, Form, Ints, Mask, Values, coded, plain

BEYOND_DOUBLES = 2**53 + 1
"""The first whole number that a double can't hold."""


class _Spans(NamedTuple):
    """Where each span lies in its run: the first span of a run is its root and fills it."""

    root: Ints
    is_root: Mask
    started: Ints
    taken: Ints


def _spans(frame: Frame) -> _Spans | None:
    return frame.memo("spans", _lay_spans)


def _lay_spans(frame: Frame) -> _Spans | None:
    relative = frame.relative()
    if relative is None or not relative[0].has("started_at", "duration_ms"):
        return None
    runs, rows = relative
    is_root = np.append(True, rows[1:] != rows[:-1]) if len(rows) else np.zeros(0, dtype=np.bool_)
    root = np.maximum.accumulate(np.where(is_root, np.arange(frame.rows), 0))
    whole = usage.taken_us(runs)[rows]
    share = np.where(is_root, 1.0, frame.rng("span share").beta(1.2, 6.0, frame.rows))
    taken = np.where(is_root, whole, (whole * share).astype(np.int64) // 1_000 * 1_000)
    begin = times.started(runs)[rows]
    place = frame.rng("span place").random(frame.rows)
    started = begin + ((whole - taken) * place).astype(np.int64)
    # A span is stored after it began, and it is stored on this day.
    return _Spans(root, is_root, np.minimum(started, actors.moment(frame)), taken)


def _trace_id(frame: Frame, column: Column) -> Values:
    relative = frame.relative()
    if relative is None or relative[0].table.own_id is None:
        return identity.own_key(frame, column)
    runs, rows = relative
    ids = runs.values(runs.table.own_id or "id").data[rows]
    return Values(data=mix64(ids), form=Form(digits=32))


def _parent_span(frame: Frame, column: Column) -> Values:
    spans = _spans(frame)
    if spans is None:
        return identity.identity(frame, column)
    return frame.values("span_id").take(spans.root).where_null(spans.is_root)


def _span_kind(frame: Frame, column: Column) -> Values:
    spans = _spans(frame)
    drawn = frame.words("span_kind", column.values, steepness=0.3)
    if spans is None or "agent" not in column.values:
        return drawn
    return coded(np.where(spans.is_root, column.values.index("agent"), drawn.data), column.values)


def _span_started(frame: Frame, column: Column) -> Values:
    spans = _spans(frame)
    return plain(spans.started) if spans else times.timestamp(frame, column)


def _span_ended(frame: Frame, column: Column) -> Values:
    spans = _spans(frame)
    if spans is None:
        return times.timestamp(frame, column)
    return plain(spans.started + spans.taken).where_null(course.unfinished(frame))


def _span_duration(frame: Frame, _column: Column) -> Values:
    spans = _spans(frame)
    taken = spans.taken if spans else usage.taken_us(frame)
    return plain(taken // 1_000).where_null(course.unfinished(frame))


def _running(frame: Frame, _column: Column) -> Values:
    return plain(frame.rng("running").binomial(frame.values("capacity").data, 0.6))


def _capacity(frame: Frame, _column: Column) -> Values:
    return plain(np.array([4, 8, 16])[frame.rng("capacity").integers(0, 3, frame.rows)])


def _utilization(frame: Frame, _column: Column) -> Values:
    running, capacity = (frame.values(name).data for name in ("running_tasks", "capacity"))
    return plain((running / np.maximum(1, capacity)).round(4))


_UNITS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "latency_ms": ("ms", 900.0),
        "success_rate": ("ratio", 0.95),
        "tokens_per_run": ("tokens", 4_000.0),
        "cost_per_run": ("usd", 0.02),
        "queue_wait_ms": ("ms", 300.0),
    }
)


def _metric_unit(frame: Frame, column: Column) -> Values:
    metric = frame.values("metric")
    words = column.values or tuple(dict.fromkeys(unit for unit, _ in _UNITS.values()))
    units = [_UNITS.get(word, (words[0], 1.0))[0] for word in metric.words]
    places = np.array([words.index(unit) if unit in words else 0 for unit in units])
    return coded(places[metric.data], words)


def _metric_value(frame: Frame, _column: Column) -> Values:
    return plain(_metric_mean(frame).round(6))


def _metric_mean(frame: Frame) -> Floats:
    metric = frame.values("metric")
    usual = np.array([_UNITS.get(word, ("", 10.0))[1] for word in metric.words])[metric.data]
    spread = frame.rng("metric").lognormal(0, 0.2, frame.rows)
    ratio = metric.is_word("success_rate")
    return np.where(ratio, np.minimum(1.0, usual * (1 + (spread - 1) / 10)), usual * spread)


_TAILS: Mapping[str, float] = MappingProxyType({"p50": 0.9, "p95": 1.9, "p99": 3.2})


def _percentile(frame: Frame, column: Column) -> Values:
    told = frame.values("metric").is_word("latency_ms", "queue_wait_ms", "tokens_per_run")
    return plain((_metric_mean(frame) * _TAILS[column.name]).round(6)).where_null(~told)


def _yesterday(frame: Frame, _column: Column) -> Values:
    return plain(np.full(frame.rows, frame.day_number - 1))


def _storage(frame: Frame, _column: Column) -> Values:
    size = frame.rng("storage").lognormal(19.0, 2.5, frame.rows).astype(np.int64)
    # A few archives are so large that doubles can't count their bytes.
    huge = frame.positions % 53 == 0
    return plain(np.where(huge, BEYOND_DOUBLES + 2 * frame.positions, size))


_LIMITS = np.array([50.0, 200.0, 1_000.0, 10_000.0])


def _limit(frame: Frame) -> Floats:
    return _LIMITS[frame.rng("limit").integers(0, len(_LIMITS), frame.rows)]


def _quota(frame: Frame, column: Column) -> Values:
    limit = _limit(frame)
    used = (limit * frame.rng("used").beta(2, 3, frame.rows)).round(2)
    known = {"limit_value": limit, "used_value": used}
    values = plain(known.get(column.name, (limit - used).round(2)))
    return (
        values if column.name == "used_value" else values.where_null(frame.chance("unlimited", 0.1))
    )


def _content_chars(frame: Frame, _column: Column) -> Values:
    content = frame.values("content")
    return plain(np.array([len(text) for text in content.words])[content.data])


SPECIAL: Mapping[str, Mapping[str, Callable[[Frame, Column], Values]]] = MappingProxyType(
    {
        "platform/agent_traces": {
            "trace_id": _trace_id,
            "parent_span_id": _parent_span,
            "span_kind": _span_kind,
            "started_at": _span_started,
            "ended_at": _span_ended,
            "duration_ms": _span_duration,
        },
        "platform/agent_workload": {
            "running_tasks": _running,
            "capacity": _capacity,
            "utilization": _utilization,
        },
        "platform/agent_performance_metrics": {
            "unit": _metric_unit,
            "metric_value": _metric_value,
            **dict.fromkeys(_TAILS, _percentile),
        },
        "platform/agent_quality_trends": {"trend_date": _yesterday},
        "platform/agent_swarm_messages": {"content_chars": _content_chars},
        "platform/zeromemory_stats": {"storage_bytes": _storage},
        "platform/swarm_quotas": dict.fromkeys(
            ("limit_value", "used_value", "remaining_value"), _quota
        ),
    }
)

"""Columns that say how many, how long, how much of something: whole numbers, shares, flags.

Belongs here: rules for int64, float64 and bool columns, from the name of the column.
Does not belong here: money (`money`).
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import course, usage
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.rules import baskets
from lake_assets.sample_data.rules.match import Make, rules
from lake_assets.sample_data.values import MICRO, Values, plain

TOKEN_COLUMNS = (
    "prompt_tokens",
    "input_tokens",
    "completion_tokens",
    "output_tokens",
    "total_tokens",
    "tokens_used",
)
"""What makes a row one of model calls."""

_GOOD_CODES = np.array([200, 200, 200, 200, 201, 204])
_BAD_CODES = np.array([500, 502, 503, 429, 429, 400, 401, 404])
_BAD_EXITS = np.array([1, 1, 1, 2, 127, 137])
_FEW = 10.0


def count(frame: Frame, column: Column) -> Values:
    """A whole number."""
    return _COUNTS.make(frame, column)


def measure(frame: Frame, column: Column) -> Values:
    """A number with a fraction."""
    return _MEASURES.make(frame, column)


def flag(frame: Frame, column: Column) -> Values:
    """True or false."""
    return _FLAGS.make(frame, column)


def _tokens(part: str) -> Make:
    def make(frame: Frame, _column: Column) -> Values:
        used = usage.tokens(frame)
        return plain(used.prompt + used.completion if part == "all" else getattr(used, part))

    return make


def _whole_time_ms(frame: Frame, _column: Column) -> Values:
    values = plain(usage.taken_us(frame) // 1_000)
    has_end = frame.has("started_at") or frame.has("created_at", "updated_at")
    return values.where_null(course.unfinished(frame)) if has_end else values


def _whole_time_s(frame: Frame, _column: Column) -> Values:
    return plain(usage.taken_us(frame) // MICRO).where_null(course.unfinished(frame))


def _part_of_time(mean: float) -> Make:
    def make(frame: Frame, column: Column) -> Values:
        share = frame.rng(column.name).beta(4, 4 / mean - 4, frame.rows)
        return plain(np.floor(usage.taken_us(frame) // 1_000 * share).astype(np.int64))

    return make


def _rest_of_time(frame: Frame, _column: Column) -> Values:
    whole = usage.taken_us(frame) // 1_000
    spent = frame.values("latency_kong_ms").data if frame.has_numbers("latency_kong_ms") else 0
    return plain(whole - spent)


def _http_code(frame: Frame, column: Column) -> Values:
    rng = frame.rng(column.name)
    bad = _BAD_CODES[rng.integers(0, len(_BAD_CODES), frame.rows)]
    good = _GOOD_CODES[rng.integers(0, len(_GOOD_CODES), frame.rows)]
    return plain(np.where(course.failed(frame), bad, good))


def _exit_code(frame: Frame, column: Column) -> Values:
    bad = _BAD_EXITS[frame.rng(column.name).integers(0, len(_BAD_EXITS), frame.rows)]
    return plain(np.where(course.failed(frame), bad, 0))


def _bytes(frame: Frame, column: Column) -> Values:
    return plain(frame.rng(column.name).lognormal(7.5, 1.4, frame.rows).astype(np.int64))


def _attempt(frame: Frame, column: Column) -> Values:
    return plain(1 + frame.rng(column.name).poisson(0.2, frame.rows))


def _up_to_ten(frame: Frame, column: Column) -> Values:
    return plain(frame.rng(column.name).integers(0, 11, frame.rows))


def _thumbs(frame: Frame, column: Column) -> Values:
    values = plain(np.where(frame.chance(column.name, 0.8), 1, -1))
    return values.where_null(frame.chance("no thumbs", 0.4))


def _year(frame: Frame, _column: Column) -> Values:
    return plain(np.full(frame.rows, frame.day.year))


def _items(frame: Frame, column: Column) -> Values:
    if frame.has("line_items"):
        return plain(baskets.units(frame))
    return _about(2.5)(frame, column)


def _about(mean: float) -> Make:
    """Counts around a mean: spread as events are where small, over magnitudes where large."""

    def make(frame: Frame, column: Column) -> Values:
        rng = frame.rng(column.name)
        if mean < _FEW:
            least = 1 if mean > 1 else 0
            return plain(least + rng.poisson(mean - least, frame.rows))
        return plain(rng.lognormal(np.log(mean) - 0.5, 1.0, frame.rows).astype(np.int64))

    return make


_COUNTS = rules(
    (r"prompt_tokens|input_tokens", _tokens("prompt")),
    (r"completion_tokens|output_tokens", _tokens("completion")),
    ("cached_tokens", _tokens("cached")),
    ("reasoning_tokens", _tokens("reasoning")),
    (r"total_tokens|tokens_used|tokens|token_count", _tokens("all")),
    ("cpu_ms", _part_of_time(0.6)),
    ("time_to_first_token_ms", _part_of_time(0.25)),
    ("latency_kong_ms", _part_of_time(0.03)),
    ("latency_upstream_ms", _rest_of_time),
    (r"(duration|latency|elapsed|time_in)(_.*)?_ms", _whole_time_ms),
    (r"(duration|elapsed)_s", _whole_time_s),
    (r"status_code|http_status", _http_code),
    ("exit_code", _exit_code),
    (r"attempts?", _attempt),
    (r".*_bytes", _bytes),
    ("priority", _up_to_ten),
    ("thumbs", _thumbs),
    (r".*year", _year),
    ("item_count", _items),
    (r".*retr.*|downloads|questions.*", _about(0.15)),
    (r"actions_taken|alerts|failed_.*|seniority", _about(0.4)),
    (r"agent_count|replicas|segments|variables.*", _about(2.5)),
    (r"steps|step_index|tool_calls|.*files.*|result_count", _about(5.0)),
    (r".*(_24h|messages|message_count|commands.*|documents.*|sample_count|lines.*)", _about(40.0)),
    (r".*(viewers|likes|comments|shares|clicks)", _about(300.0)),
    (r".*(followers|impressions|reach|_chars|memory_count|vector_count)", _about(9_000.0)),
    (r".*downloads_.*", _about(400_000.0)),
    otherwise=_about(20.0),
)


def _stars(frame: Frame, column: Column) -> Values:
    return plain(np.minimum(5, 1 + frame.rng(column.name).binomial(8, 0.72, frame.rows) / 2))


def _share(frame: Frame, column: Column) -> Values:
    return plain(frame.rng(column.name).beta(8, 2, frame.rows).round(4))


def _percent(frame: Frame, column: Column) -> Values:
    return plain((100 * frame.rng(column.name).beta(3, 2, frame.rows)).round(2))


def _difference(frame: Frame, column: Column) -> Values:
    return plain(frame.rng(column.name).normal(0, 0.02, frame.rows).round(4))


def _points(frame: Frame, column: Column) -> Values:
    chosen = frame.rng(column.name).integers(0, 5, frame.rows)
    return plain(np.array([1.0, 2.0, 3.0, 5.0, 8.0])[chosen])


_PERCENTILES: Mapping[str, float] = MappingProxyType(
    {"p50": 1.0, "p75": 1.4, "p90": 1.9, "p95": 2.3, "p99": 3.6}
)


def _percentile(frame: Frame, column: Column) -> Values:
    median = frame.rng("percentiles").lognormal(5.0, 0.8, frame.rows)
    return plain((median * _PERCENTILES.get(column.name, 1.0)).round(3))


def _amount(log_mean: float, log_spread: float) -> Make:
    def make(frame: Frame, column: Column) -> Values:
        drawn = frame.rng(column.name).lognormal(log_mean, log_spread, frame.rows)
        return plain(drawn.round(4))

    return make


_MEASURES = rules(
    (r"(avg_)?rating", _stars),
    (r"(.*_)?(score|accuracy|rate|probability|utilization|ratio|share|confidence)", _share),
    (r"helpfulness|safety", _share),
    (r".*_pct", _percent),
    (r"delta.*", _difference),
    ("story_points", _points),
    (r"p\d\d", _percentile),
    (r".*(_s|_seconds)", _amount(3.5, 1.0)),
    (r".*_ms", _amount(6.0, 0.6)),
    otherwise=_amount(3.0, 1.2),
)


def _true_for(share: float) -> Make:
    def make(frame: Frame, column: Column) -> Values:
        return plain(frame.chance(column.name, share))

    return make


def _went_well(frame: Frame, _column: Column) -> Values:
    return plain(~course.failed(frame))


def _went_wrong(frame: Frame, _column: Column) -> Values:
    return plain(course.failed(frame))


_FLAGS = rules(
    (r"success|succeeded|ok", _went_well),
    (r"failed|is_error", _went_wrong),
    ("is_active", _true_for(0.9)),
    ("streamed", _true_for(0.6)),
    (r"cache_hit|is_test", _true_for(0.15)),
    otherwise=_true_for(0.4),
)

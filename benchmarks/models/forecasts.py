"""Forecasts against futures that they did not see.

Belongs here: forecasting from past origins, errors, coverage.
Does not belong here: the series (`public`, `simulated`, `sample`), the report.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from benchmarks.models import simulated
from benchmarks.models.public import Public, public_series
from benchmarks.models.sample import tables
from lake_assets.models import request_volume, token_cost
from lake_assets.models.forecast_backtest import Rules, seasonal_scale
from lake_assets.models.forecast_candidates import seasonal_naive
from lake_assets.models.forecast_intervals import LEVELS
from lake_assets.models.forecast_rows import RULES, TRAINING_DAYS
from lake_assets.models.forecasting import Forecast, forecast_all
from lake_assets.models.series import Floats, Span, daily_sums, known, names_of, numbers, pairs_of
from lake_assets.sample_data.spec import SampleSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What forecasts of one series came to: means over its origins."""

    group: str
    name: str
    mase: float
    naive_mase: float
    covered_80: float
    covered_95: float

    @property
    def wins(self) -> bool:
        """Whether seasonal naive did worse from the same origins."""
        return self.mase < self.naive_mase


def _mean(group: str, name: str, errors: Sequence[tuple[float, float, float, float]]) -> Outcome:
    mase, naive, inner, outer = (float(each) for each in np.mean(errors, axis=0))
    return Outcome(
        group=group, name=name, mase=mase, naive_mase=naive, covered_80=inner, covered_95=outer
    )


def _errors(
    actual: Floats,
    point: Floats,
    bounds: Mapping[float, tuple[Floats, Floats]],
    training: Floats,
    season: int,
) -> tuple[float, float, float, float]:
    scale = seasonal_scale(training, season) or 1.0
    naive = seasonal_naive(training, season, len(actual))
    covered = [
        float(((actual >= low - 1e-9) & (actual <= high + 1e-9)).mean())
        for low, high in (bounds[0.8], bounds[0.95])
    ]
    return (
        float(np.abs(actual - point).mean()) / scale,
        float(np.abs(actual - naive).mean()) / scale,
        covered[0],
        covered[1],
    )


def on_public(origins: int = 4) -> list[Outcome]:
    """Every public series, from origins spread evenly over what its training window leaves."""
    groups: dict[str, list[Public]] = {}
    for each in public_series():
        groups.setdefault(each.group, []).append(each)
    found: list[Outcome] = []
    for group, members in groups.items():
        errors: dict[str, list[tuple[float, float, float, float]]] = {}
        rules = members[0].rules
        for place in range(origins):
            split = {member.name: _split(member, place / (origins - 1)) for member in members}
            made = forecast_all({name: training for name, (training, _) in split.items()}, rules)
            for name, (training, actual) in split.items():
                errors.setdefault(name, []).append(_of(made[name], training, actual, rules.season))
        found += [_mean(f"public, {group}", name, each) for name, each in errors.items()]
    return found


def _split(member: Public, share: float) -> tuple[Floats, Floats]:
    """Training and future; `share` is 0 for the first origin possible and 1 for the last."""
    last = len(member.values) - member.rules.horizon
    origin = member.train + round(share * (last - member.train))
    training = member.values[origin - member.train : origin]
    return training, member.values[origin : origin + member.rules.horizon]


def _of(
    made: Forecast, training: Floats, actual: Floats, season: int
) -> tuple[float, float, float, float]:
    return _errors(actual, made.point, made.bounds, training, season)


def on_simulated(
    *, each: int, seed: int, lengths: Sequence[int] = (42, 63, 126), origins: int = 3
) -> list[Outcome]:
    """`each` series of every kind and length, from origins a week apart."""
    rng = np.random.default_rng(seed)
    rules = Rules()
    found: list[Outcome] = []
    for length in lengths:
        whole = {
            f"{kind}, {length} days, {number}": simulated.series(
                kind, length + rules.horizon + 7 * (origins - 1), rng
            )
            for kind in simulated.KINDS
            for number in range(each)
        }
        errors: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in whole}
        for start in range(0, 7 * origins, 7):
            end = start + length
            made = forecast_all({n: values[start:end] for n, values in whole.items()}, rules)
            for name, values in whole.items():
                future = values[end : end + rules.horizon]
                errors[name].append(_of(made[name], values[start:end], future, rules.season))
        found += [_mean(f"simulated, {name.split(',')[0]}", name, e) for name, e in errors.items()]
    return found


def on_sample(*, seeds: Sequence[int], days: int, origins: Sequence[int]) -> list[Outcome]:
    """The rows that both forecasts derive from sample data, from some days before its end."""
    found: list[Outcome] = []
    last = date(2026, 11, 22)
    for seed in seeds:
        inputs = tables(
            SampleSpec(last_day=last, days=days, seed=seed),
            ("mcp_request_logs", "platform/llm_token_usage"),
        )
        span = Span(last=last, days=days)
        for label, derive, actuals, column, bounds in _DERIVED:
            whole = actuals(inputs, span)
            errors: dict[str, list[tuple[float, float, float, float]]] = {}
            for ago in origins:
                rows = list(derive(inputs, day=last - timedelta(days=ago)))
                for key, future in _futures(rows, whole, days - ago):
                    made = [row for row in rows if row["series_key"] == key]
                    point = _column(made, column)
                    ranges = {
                        level: (_column(made, low), _column(made, high))
                        for level, (low, high) in bounds.items()
                    }
                    origin = days - ago
                    training = whole[key][max(0, origin - TRAINING_DAYS) : origin]
                    errors.setdefault(key, []).append(_errors(future, point, ranges, training, 7))
            found += [
                _mean(f"sample, {label}", f"{key}, seed {seed}", each)
                for key, each in errors.items()
            ]
    return found


def in_hindsight(
    *, seeds: Sequence[int], others: Sequence[int], days: int, origins: Sequence[int]
) -> list[Outcome]:
    """The same series of the sample, forecast by the mean of other samples on the days themselves.

    It knows growth, rhythm and planted events beforehand, and not what chance does: no forecast is
    expected to do better. There are no intervals.
    """
    last = date(2026, 11, 22)
    span = Span(last=last, days=days)
    names = ("mcp_request_logs", "platform/llm_token_usage")
    made = {
        seed: tables(SampleSpec(last_day=last, days=days, seed=seed), names)
        for seed in (*seeds, *others)
    }
    found: list[Outcome] = []
    for label, _, actuals, *_ in _DERIVED:
        whole = {seed: actuals(inputs, span) for seed, inputs in made.items()}
        for seed in seeds:
            for key, values in whole[seed].items():
                known_before = np.mean(
                    [whole[other].get(key, np.zeros(days)) for other in others], axis=0
                )
                errors: list[tuple[float, float, float, float]] = []
                for origin in (days - ago for ago in origins):
                    ahead = slice(origin, origin + RULES.horizon)
                    point = known_before[ahead]
                    none = dict.fromkeys(LEVELS, (point, point))
                    training = values[max(0, origin - TRAINING_DAYS) : origin]
                    errors.append(_errors(values[ahead], point, none, training, RULES.season))
                found.append(_mean(f"hindsight, {label}", f"{key}, seed {seed}", errors))
    return found


def _futures(
    rows: Sequence[Mapping[str, object]], whole: Mapping[str, Floats], origin: int
) -> Iterator[tuple[str, Floats]]:
    for key in sorted({str(row["series_key"]) for row in rows}):
        yield key, whole[key][origin : origin + 14]


def _column(rows: Sequence[Mapping[str, object]], name: str) -> Floats:
    return np.array([float(str(row[name])) for row in rows])


def _requests(inputs: Mapping[str, pa.Table], span: Span) -> dict[str, Floats]:
    rows = known(inputs["mcp_request_logs"], span)
    found: dict[str, Floats] = {}
    for kind, column in (("service", "service"), ("agent", "agent_id")):
        parts = daily_sums(rows, names_of(rows, column), None, span)
        found |= {f"{kind}={name}": values for name, values in parts.items()}
        found["total"] = np.sum(list(parts.values()), axis=0)
    return found


def _costs(inputs: Mapping[str, pa.Table], span: Span) -> dict[str, Floats]:
    rows = known(inputs["platform/llm_token_usage"], span)
    found: dict[str, Floats] = {}
    names = {"model": pairs_of(rows, "provider", "model"), "agent": names_of(rows, "agent_id")}
    for kind, each in names.items():
        parts = daily_sums(rows, each, numbers(rows, "cost_usd"), span)
        found |= {f"{kind}={name}": values for name, values in parts.items()}
        found["total"] = np.sum(list(parts.values()), axis=0)
    return found


_DERIVED = (
    (
        "requests",
        request_volume.derive,
        _requests,
        "predicted_requests",
        {0.8: ("lower_bound", "upper_bound"), 0.95: ("lower_bound_95", "upper_bound_95")},
    ),
    (
        "token cost",
        token_cost.derive,
        _costs,
        "predicted_cost_usd",
        {
            0.8: ("lower_cost_usd", "upper_cost_usd"),
            0.95: ("lower_cost_95_usd", "upper_cost_95_usd"),
        },
    ),
)

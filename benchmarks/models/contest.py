"""The product's forecasts compared with plain models, on the same days of the same series.

Belongs here: rows of a source as a lake has them, forecasts through the derivations, scores.
Does not belong here: sources (`unseen`, `unseen_sources`, `simulated`), tables (`contest_tables`).

Errors are scaled by the mean absolute difference to one week before in the training days, as in
MASE; the interval score is that of Gneiting & Raftery (2007), scaled by the same: its width, and
2/(1 - level) times the distance of each day outside of it. Errors of sums are shares of the mean
training day times the days summed.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import numpy as np
import pyarrow as pa

from benchmarks.models import rivals
from benchmarks.models.unseen import AHEAD, TRAIN, Source, group_of
from lake_assets.models import month_end, request_volume, token_cost
from lake_assets.models.derivation import Derivation, StoredInputs
from lake_assets.models.forecast_backtest import seasonal_scale
from lake_assets.models.series import Floats

OURS = "this lake"
_TOTAL_COST = 1000.0
"""Costs are scaled to a total of about so much a day."""

Row = Mapping[str, object]
Columns = Callable[[Source, int, int, float], pa.Table]
"""The rows of a source between two places, costs divided by a scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """How an interval of one level did, over the days ahead."""

    score: float
    width: float
    covered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The sum to the month's end; `covered` by an 80 % interval of that sum, if there is one."""

    error: float
    covered: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one contender's forecast from one origin came to."""

    source: str
    series: str
    origin: int
    group: str
    contender: str
    mase: float
    inner: Interval
    outer: Interval
    sum_error: float
    """Signed: forecast less what came, of the sum over all days ahead."""
    month: Month | None = None
    claimed: float | None = None
    """The error that the forecast's own row expects, scaled as `mase` is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """Points and bounds as rows: point, lower and upper at 80, the same at 95."""

    days: Floats
    month: tuple[float, float, float] | None = None
    """10 %, mean and 90 % of the sum of the days that are left of the month."""
    claimed: float | None = None


def scores(source: Source, *, origins: int = 4, group: str = "") -> list[Score]:
    """Every contender on every series from every origin; `group` names it, or its properties do."""
    found: list[Score] = []
    for origin in source.origins(origins):
        trainings = {
            name: values[origin - TRAIN : origin] for name, values in source.series.items()
        }
        # Without a scale there is no error to tell; nothing ever changed there.
        trainings = {name: each for name, each in trainings.items() if seasonal_scale(each, 7) > 0}
        if not trainings:
            continue
        try:
            ours = forecast(source, origin)
        except Exception as error:  # noqa: BLE001 - whatever ends a run counts as no forecast
            print(f"{source.name}, {source.day(origin - 1)}: {error!r}", flush=True)
            ours = {}
        plain = rivals.plain(list(trainings.values()))
        for (name, training), rows in zip(trainings.items(), plain, strict=True):
            made = {rival: _Made(days=days) for rival, days in rows.items()}
            if name in ours:
                made[OURS] = ours[name]
            for contender, each in made.items():
                kind = group or group_of(training)
                found.append(_score(source, name, origin, each, group=kind, contender=contender))
    return found


def _score(
    source: Source, name: str, origin: int, made: _Made, *, group: str, contender: str
) -> Score:
    values = source.series[name]
    training, actual = values[origin - TRAIN : origin], values[origin : origin + AHEAD]
    scale = seasonal_scale(training, 7)
    level = float(np.abs(training).mean())
    point, *bounds = made.days[:, :AHEAD]
    return Score(
        source=source.name,
        series=name,
        origin=origin,
        group=group,
        contender=contender,
        mase=float(np.abs(actual - point).mean()) / scale,
        inner=interval(actual, bounds[0], bounds[1], level=0.8, scale=scale),
        outer=interval(actual, bounds[2], bounds[3], level=0.95, scale=scale),
        sum_error=float((point - actual).sum()) / (AHEAD * level),
        month=_month(source, values, origin, made, level),
        claimed=made.claimed,
    )


def interval(
    actual: Floats, lower: Floats, upper: Floats, *, level: float, scale: float
) -> Interval:
    """How an interval of `level` did."""
    # Costs are whole micro-dollars: what is off by less than a rounding is inside.
    slack = 1e-6 * scale
    below, above = np.maximum(lower - actual, 0.0), np.maximum(actual - upper, 0.0)
    outside = below + above
    return Interval(
        score=float((upper - lower + 2 / (1 - level) * outside).mean()) / scale,
        width=float((upper - lower).mean()) / scale,
        covered=float((outside <= slack).mean()),
    )


def _month(source: Source, values: Floats, origin: int, made: _Made, level: float) -> Month | None:
    """None on the last day of a month, and for forecasts that do not reach the next one's."""
    left = days_left(source, origin)
    if not left or (made.month is None and left > made.days.shape[1]):
        return None
    came = float(values[origin : origin + left].sum())
    if made.month is None:
        return Month(error=(float(made.days[0, :left].sum()) - came) / (left * level), covered=None)
    low, mean, high = made.month
    slack = 1e-6 * level
    return Month(error=(mean - came) / (left * level), covered=low - slack <= came <= high + slack)


def days_left(source: Source, origin: int) -> int:
    """How many days of the month lie ahead of the last day trained on."""
    today = source.day(origin - 1)
    following = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    return (following - today).days - 1


def forecast(source: Source, origin: int) -> dict[str, _Made]:
    """What the derivations make of a lake with this source's rows, by series."""
    derivation, columns, column, bounds = _COUNTED if source.counts else _SPENT
    scale = _cost_scale(source, origin)
    by_key: dict[str, list[Row]] = {}
    for row in _derived(derivation, columns, source, origin):
        by_key.setdefault(str(row["series_key"]), []).append(row)
    months = _months(source, origin)
    factor = 1.0 if source.counts else scale
    return {
        name: _made(by_key[key], (column, *bounds), factor, months.get(key))
        for name in source.series
        if (key := f"agent={name}") in by_key
    }


def _derived(
    derivation: Derivation, columns: Columns, source: Source, origin: int
) -> Iterable[Row]:
    """The rows of the day before `origin`, from a lake that has every day of the source."""
    ((partition, window),) = derivation.windows.items()
    begin = max(0, origin - window.days)
    inputs = StoredInputs(
        tables={partition: columns(source, begin, origin, _cost_scale(source, origin))},
        days={partition: frozenset(source.day(place) for place in range(begin, origin))},
    )
    assert derivation.derive is not None
    return cast("Iterable[Row]", derivation.derive(inputs, day=source.day(origin - 1)))


def _months(source: Source, origin: int) -> dict[str, tuple[float, float, float]]:
    """10 %, mean and 90 % of the sum of the month's days to come, as projections of cost."""
    scale = _cost_scale(source, origin)

    def left(row: Row, column: str) -> float:
        return float(str(row[column])) - float(str(row["month_to_date_usd"]))

    return {
        str(row["series_key"]): (
            left(row, "projected_10_usd") * scale,
            left(row, "projected_cost_usd") * scale,
            left(row, "projected_90_usd") * scale,
        )
        for row in _derived(month_end.DERIVATION, _calls, source, origin)
    }


def _made(
    rows: Sequence[Row],
    columns: Sequence[str],
    factor: float,
    month: tuple[float, float, float] | None,
) -> _Made:
    days = np.array([[float(str(row[name])) for row in rows] for name in columns]) * factor
    claimed = rows[0]["expected_mase"]
    return _Made(days=days, month=month, claimed=None if claimed is None else float(str(claimed)))


def _cost_scale(source: Source, origin: int) -> float:
    mean = sum(float(np.abs(each[:origin]).mean()) for each in source.series.values())
    return max(mean, 1e-9) / _TOTAL_COST


def _requests(source: Source, begin: int, end: int, scale: float) -> pa.Table:  # noqa: ARG001
    """One row per request."""
    counts = np.rint(_matrix(source, begin, end)).astype(np.int64)
    series, days = (np.repeat(each.ravel(), counts.ravel()) for each in np.indices(counts.shape))
    names = np.array(list(source.series))[series]
    return pa.table(
        {
            "date": _dates(source, begin, days),
            "service": _division(series, counts.shape[0]),
            "agent_id": names,
        }
    )


def _calls(source: Source, begin: int, end: int, scale: float) -> pa.Table:
    """One row per series and day that had anything, and one without cost on other days."""
    values = _matrix(source, begin, end) / scale
    series, days = (each.ravel() for each in np.indices(values.shape))
    cost = np.rint(values.ravel() * 1e6) / 1e6
    return pa.table(
        {
            "date": _dates(source, begin, days),
            "provider": _division(series, values.shape[0]),
            "model": pa.array(["model"] * len(series)),
            "agent_id": np.array(list(source.series))[series],
            "total_tokens": np.rint(np.abs(cost) * 1e5).astype(np.int64),
            "cost_usd": cost,
        }
    )


def _matrix(source: Source, begin: int, end: int) -> Floats:
    return np.stack([each[begin:end] for each in source.series.values()])


def _dates(source: Source, begin: int, days: np.ndarray) -> pa.Array:
    return pa.array(np.datetime64(source.day(begin), "D") + days, pa.date32())


def _division(series: np.ndarray, count: int) -> pa.Array:
    """Another way of parts: up to three, each with every third series."""
    return pa.array([f"part {each % min(3, (count + 1) // 2)}" for each in series.tolist()])


_COUNTED = (
    request_volume.DERIVATION,
    _requests,
    "predicted_requests",
    ("lower_bound", "upper_bound", "lower_bound_95", "upper_bound_95"),
)
_SPENT = (
    token_cost.DERIVATION,
    _calls,
    "predicted_cost_usd",
    ("lower_cost_usd", "upper_cost_usd", "lower_cost_95_usd", "upper_cost_95_usd"),
)


def processor_time_s(agents: int = 100, seed: int = 17) -> float:
    """Of one day's request forecasts for so many agents and eight services."""
    from benchmarks.models import simulated  # noqa: PLC0415

    source = simulated.fleet(agents, seed)
    forecast(simulated.fleet(1, seed), TRAIN)  # loads the libraries
    begin = time.process_time()
    forecast(source, TRAIN)
    return time.process_time() - begin

"""`derived/predictions/forecast_accuracy`: what forecasts said of a day, and what came.

Belongs here: which forecasts are of the day, the actual value of each series.
Does not belong here: forecasting.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.models.derivation import Derivation, Inputs, Window, days_of
from lake_assets.models.forecast_rows import RULES, identity
from lake_assets.models.series import (
    OTHER_NAME,
    Floats,
    Span,
    daily_sums,
    known,
    names_of,
    numbers,
    pairs_of,
)

_REQUESTS = "mcp_request_logs"
_CALLS = "platform/llm_token_usage"
_SHARED = ("series_key", "target_date", "model_name", "expected_mase")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """One figure that is forecast: from which rows, by which columns."""

    name: str
    forecasts: str
    actuals: str
    predicted: str
    inner: tuple[str, str]
    outer: tuple[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its forecasts that are read."""
        return (*_SHARED, self.predicted, *self.inner, *self.outer)


_MEASURES = (
    _Measure(
        name="requests",
        forecasts="derived/predictions/request_volume_forecast",
        actuals=_REQUESTS,
        predicted="predicted_requests",
        inner=("lower_bound", "upper_bound"),
        outer=("lower_bound_95", "upper_bound_95"),
    ),
    _Measure(
        name="cost_usd",
        forecasts="derived/predictions/token_cost_forecast",
        actuals=_CALLS,
        predicted="predicted_cost_usd",
        inner=("lower_cost_usd", "upper_cost_usd"),
        outer=("lower_cost_95_usd", "upper_cost_95_usd"),
    ),
)


def derive(inputs: Inputs, /, *, day: date) -> Iterator[Mapping[str, object]]:
    """What was forecast of `day`, by series and age of the forecast; none without what came."""
    span = Span(last=day, days=1)
    for measure in _MEASURES:
        rows = known(inputs[measure.actuals], span)
        stored = days_of(inputs, measure.actuals)
        if not rows.num_rows and day not in (stored or ()):
            continue
        came = _came(measure, rows, span)
        made = inputs[measure.forecasts]
        made = made.filter(
            pc.call_function("equal", [pc.cast(made["target_date"], pa.date32()), pa.scalar(day)])
        )
        by_day: dict[date, list[Mapping[str, object]]] = {}
        for row in made.to_pylist():
            by_day.setdefault(row["date"], []).append(row)
        for made_on, forecasts in sorted(by_day.items()):
            keys = {str(row["series_key"]) for row in forecasts}
            for row in sorted(forecasts, key=lambda each: str(each["series_key"])):
                actual = _of(str(row["series_key"]), came, keys)
                yield _row(measure, row, actual, day=day, made_on=made_on)


def _came(measure: _Measure, rows: pa.Table, span: Span) -> dict[str, float]:
    if measure.actuals == _REQUESTS:
        kinds = {"service": names_of(rows, "service"), "agent": names_of(rows, "agent_id")}
        values: Floats | None = None
    else:
        kinds = {"model": pairs_of(rows, "provider", "model"), "agent": names_of(rows, "agent_id")}
        values = numbers(rows, "cost_usd")
    found = {
        f"{kind}={name}": float(each[0])
        for kind, names in kinds.items()
        for name, each in daily_sums(rows, names, values, span).items()
    }
    agents = (value for key, value in found.items() if key.startswith("agent="))
    return {**found, "total": sum(agents)}


def _of(key: str, came: Mapping[str, float], keys: set[str]) -> float:
    kind, _, name = key.partition("=")
    if name != OTHER_NAME:
        return came.get(key, 0.0)
    # What shared a series is what had none of its own.
    rest = (v for k, v in came.items() if k.startswith(f"{kind}=") and k not in keys)
    return sum(rest, came.get(key, 0.0))


def _row(
    measure: _Measure, row: Mapping[str, object], actual: float, *, day: date, made_on: date
) -> dict[str, object]:
    def number(column: str) -> float | None:
        value = row[column]
        return None if value is None else float(str(value))

    def within(columns: tuple[str, str]) -> bool | None:
        low, high = number(columns[0]), number(columns[1])
        return None if low is None or high is None else low <= actual <= high

    predicted = number(measure.predicted) or 0.0
    key = str(row["series_key"])
    return {
        "accuracy_id": identity(f"{measure.name}/{key}", made_on, day),
        "measure": measure.name,
        "series_key": key,
        "target_date": day,
        "forecast_date": made_on,
        "horizon_days": (day - made_on).days,
        "model_name": row["model_name"],
        "predicted": predicted,
        "actual": actual,
        "error": actual - predicted,
        "absolute_error": abs(actual - predicted),
        "in_80": within(measure.inner),
        "in_95": within(measure.outer),
        "expected_mase": number("expected_mase"),
    }


DERIVATION = Derivation(
    version="1",
    windows={
        **{
            each.forecasts: Window(days=RULES.horizon, columns=each.columns, lag_d=1)
            for each in _MEASURES
        },
        _REQUESTS: Window(days=1, columns=("service", "agent_id")),
        _CALLS: Window(days=1, columns=("provider", "model", "agent_id", "cost_usd")),
    },
    derive=derive,
    refresh_d=7,
)

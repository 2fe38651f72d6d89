"""What the rows of both forecasts have in common.

Belongs here: ids, dates, which days are gaps, the backtest's figures, the sentence of a series.
Does not belong here: what is forecast (`request_volume`, `token_cost`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake_assets.models.derivation import Inputs, days_of, setting_of
from lake_assets.models.forecast_backtest import Backtest, Kind, Rules
from lake_assets.models.forecast_calendar import DaysOff, days_off
from lake_assets.models.forecast_candidates import SEASONAL_NAIVE
from lake_assets.models.forecasting import Forecast
from lake_assets.models.series import Flags, Floats, Span, present_days

FORECAST_VERSION = "3"
RULES = Rules()
SUMMED_RULES = Rules(is_summed=True)
TRAINING_DAYS = 126
"""Eighteen weeks: five origins, and what most series still resemble."""
MOST_PARTS = 60
"""Parts of a kind that are forecast by themselves; smaller ones share a series."""
HOLIDAYS = "LAKE_HOLIDAYS"
_STALE_DAYS = 3
"""Days without input before a forecast from which on it is called stale."""


@cache
def model_version() -> str:
    """Version of this method and of the library that it forecasts with."""
    return f"{FORECAST_VERSION}/statsforecast-{version('statsforecast')}"


def recent_days(present: Flags, *, days: int = 28) -> NDArray[np.int64]:
    """The places of the last days that the lake has, four weeks of them."""
    return np.flatnonzero(present)[-days:]


def still_active(parts: dict[str, Floats], present: Flags, *, days: int = 28) -> dict[str, Floats]:
    """The parts that had anything on the last days that the lake has; the others have ended."""
    recent = recent_days(present, days=days)
    return {name: values for name, values in parts.items() if values[recent].any()}


def with_gaps(values: Floats, present: Flags) -> Floats:
    """The series with NaN on days that the lake lacks."""
    return np.where(present, values, np.nan)


def last_present(span: Span, present: Flags) -> date:
    """The newest day of the span that the lake has."""
    return span.day(int(np.flatnonzero(present)[-1]))


def days_present(inputs: Inputs, upstream: str, rows: pa.Table, span: Span) -> Flags:
    """The days of the span that the lake has; the others are gaps.

    A stored day without rows is a day of zero. Where only rows are known, a day without any is
    taken for missing.
    """
    present = present_days(rows, span)
    for day in days_of(inputs, upstream) or ():
        if span.first <= day <= span.last:
            present[(day - span.first).days] = True
    return present


def days_off_around(inputs: Inputs, span: Span, ahead: int) -> DaysOff:
    """The days off of the span and of the days that are forecast after it."""
    countries: Sequence[str] = setting_of(inputs, HOLIDAYS)
    return days_off(span.first, span.days + ahead, countries)


def common(
    *, series_key: str, day: date, training_end: date, made: Forecast
) -> Iterator[dict[str, object]]:
    """The columns of each target day that both forecasts have."""
    test = made.backtest
    for horizon in range(1, RULES.horizon + 1):
        target = day + timedelta(days=horizon)
        yield {
            "forecast_id": identity(series_key, day, target),
            "model_name": test.model,
            "model_version": model_version(),
            "series_key": series_key,
            "target_date": target,
            "horizon_days": horizon,
            "confidence_level": 0.8,
            "training_start": day - timedelta(days=max(made.trained_on - 1, 0)),
            "training_end": training_end,
            "training_points": made.trained_on,
            "mape": _rounded(test.mape),
            "mase": _rounded(test.mase),
            "naive_mase": _rounded(test.naive_mase),
            "backtest_windows": test.windows,
            "is_fallback": bool(test.fallback_reason),
            "status": status(made),
            "stale_days": made.stale,
            "expected_mase": _rounded(made.expected_mase),
            "explanation": explanation(made),
        }


def identity(series_key: str, day: date, target: date) -> str:
    """The id of what was said of a series on a day about another one."""
    text = f"{series_key}\x1f{day.isoformat()}\x1f{target.isoformat()}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 4)


def status(made: Forecast) -> str:
    """How far a forecast can be relied on, in one word."""
    if made.trouble:
        return "damaged"
    if made.stale >= _STALE_DAYS:
        return "stale"
    return "fallback" if made.backtest.fallback_reason else "ok"


def explanation(made: Forecast) -> str:
    """Why this model, in one sentence; what is wrong with the input, in one before it."""
    said = why(made.backtest)
    if made.stale >= _STALE_DAYS:
        said = f"The newest input is {made.stale} days old, so intervals are wider. {said}"
    return f"{made.trouble[:1].upper()}{made.trouble[1:]}. {said}" if made.trouble else said


def why(test: Backtest) -> str:
    """Why this model, in one sentence."""
    if test.fallback_reason:
        return f"A recent mean replaces the models: {test.fallback_reason}."
    if test.model == SEASONAL_NAIVE:
        error = "" if test.mase is None else f", with a scaled error of {test.mase:.2f}"
        return (
            f"Seasonal naive itself was best{error} over {test.windows} backtests; the mean of all "
            "models did clearly worse."
        )
    leading = max(test.weights, key=lambda name: (test.weights[name], name))
    what = "models" if test.kind is Kind.MODELS else "recent means of an intermittent series"
    mean = f"The mean of {what} by weight, most of it {leading}'s ({test.weights[leading]:.0%}),"
    if test.mase is None or test.naive_mase is None:
        return (
            f"{mean} is taken; before at least one of {test.windows} backtests no day was seen to "
            "differ from the week before, so errors have no scale."
        )
    return (
        f"{mean} had a scaled error of {test.mase:.2f} over {test.windows} backtests, "
        f"seasonal naive {test.naive_mase:.2f}."
    )

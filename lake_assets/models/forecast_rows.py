"""What the rows of both forecasts have in common.

Belongs here: ids, dates, the backtest's figures and the sentence that explains a series.
Does not belong here: what is forecast (`request_volume`, `token_cost`).
"""

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version

import numpy as np

from lake_assets.models.forecast_backtest import Backtest, Rules
from lake_assets.models.forecast_candidates import SEASONAL_NAIVE
from lake_assets.models.series import Flags, Floats, Span

FORECAST_VERSION = "2"
RULES = Rules()
TRAINING_DAYS = 126
"""Eighteen weeks: five origins, and what most series still resemble."""
MOST_PARTS = 60
"""Parts of a kind that are forecast by themselves; smaller ones share a series."""
_QUIET_DAYS = 28


@cache
def model_version() -> str:
    """Version of this method and of the library that it forecasts with."""
    return f"{FORECAST_VERSION}/statsforecast-{version('statsforecast')}"


def still_active(parts: dict[str, Floats]) -> dict[str, Floats]:
    """The parts that had anything in the last four weeks; the others have ended."""
    return {name: values for name, values in parts.items() if values[-_QUIET_DAYS:].sum() > 0}


def with_gaps(values: Floats, present: Flags) -> Floats:
    """The series with NaN on days that the lake has no rows of."""
    return np.where(present, values, np.nan)


def last_present(span: Span, present: Flags) -> date:
    """The newest day of the span that the lake has rows of."""
    return span.day(int(np.flatnonzero(present)[-1]))


def common(
    *, series_key: str, day: date, trained_on: int, training_end: date, test: Backtest
) -> Iterator[dict[str, object]]:
    """The columns of each target day that both forecasts have."""
    for horizon in range(1, RULES.horizon + 1):
        target = day + timedelta(days=horizon)
        yield {
            "forecast_id": _identity(series_key, day, target),
            "model_name": test.model,
            "model_version": model_version(),
            "series_key": series_key,
            "target_date": target,
            "horizon_days": horizon,
            "confidence_level": 0.8,
            "training_start": day - timedelta(days=trained_on - 1),
            "training_end": training_end,
            "training_points": trained_on,
            "mape": _rounded(test.mape),
            "mase": _rounded(test.mase),
            "naive_mase": _rounded(test.naive_mase),
            "backtest_windows": test.windows,
            "is_fallback": bool(test.fallback_reason),
            "explanation": explanation(test),
        }


def _identity(series_key: str, day: date, target: date) -> str:
    text = f"{series_key}\x1f{day.isoformat()}\x1f{target.isoformat()}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def explanation(test: Backtest) -> str:
    """Why this model, in one sentence."""
    if test.fallback_reason:
        return f"Seasonal naive stands in for a model: {test.fallback_reason}."
    if test.model == SEASONAL_NAIVE:
        error = "" if test.mase is None else f", with a scaled error of {test.mase:.2f}"
        return (
            f"Seasonal naive itself was best{error} over {test.windows} backtests; the mean of all "
            "models did clearly worse."
        )
    leading = max(test.weights, key=lambda name: (test.weights[name], name))
    mean = f"The mean of models by weight, most of it {leading}'s ({test.weights[leading]:.0%}),"
    if test.mase is None or test.naive_mase is None:
        return (
            f"{mean} is taken; before at least one of {test.windows} backtests no day was seen to "
            "differ from the week before, so errors have no scale."
        )
    return (
        f"{mean} had a scaled error of {test.mase:.2f} over {test.windows} backtests, "
        f"seasonal naive {test.naive_mase:.2f}."
    )

"""`derived/predictions/request_volume_forecast`: requests per day, 14 days ahead.

Belongs here: which series there are, and their rows.
Does not belong here: how a series is forecast (`forecasting`).

Series are `total`, `service=NAME` and `agent=ID`, in requests per UTC day; what names no service or
agent is a part of its own, so that parts add up to the total. A stored day without a request is a
day of zero, a day that the lake lacks is a gap. Figures are multiples of 1/8 request: binary
fractions add up exactly, in any order.
"""

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np

from lake_assets.models.derivation import Derivation, Inputs, Window
from lake_assets.models.forecast_rows import (
    FORECAST_VERSION,
    HOLIDAYS,
    MOST_PARTS,
    RULES,
    TRAINING_DAYS,
    common,
    days_off_around,
    days_present,
    last_present,
    still_active,
    with_gaps,
)
from lake_assets.models.forecasting import WholeForecast, forecast_parts
from lake_assets.models.series import Span, at_most, daily_sums, known, names_of

_REQUESTS = "mcp_request_logs"
_UNIT = 0.125
_KINDS = {"service": "service", "agent": "agent_id"}


def derive(inputs: Inputs, /, *, day: date) -> Iterator[Mapping[str, object]]:
    """The forecasts made on `day`: one row per series and target day; none without requests."""
    span = Span(last=day, days=TRAINING_DAYS)
    rows = known(inputs[_REQUESTS], span)
    if not rows.num_rows:
        return
    present = days_present(inputs, _REQUESTS, rows, span)
    counts = {
        kind: daily_sums(rows, names_of(rows, column), None, span)
        for kind, column in _KINDS.items()
    }
    kinds = {
        kind: {
            name: with_gaps(values, present)
            for name, values in at_most(still_active(parts, present), MOST_PARTS).items()
        }
        for kind, parts in counts.items()
    }
    total = with_gaps(np.sum(list(counts["agent"].values()), axis=0), present)
    end = last_present(span, present)
    off = days_off_around(inputs, span, RULES.horizon)
    for key, forecast in forecast_parts(total, kinds, RULES, unit=_UNIT, days_off=off).items():
        shared = common(series_key=key, day=day, training_end=end, made=forecast.made)
        for step, row in enumerate(shared):
            yield row | _figures(forecast, step)


def _figures(forecast: WholeForecast, step: int) -> dict[str, object]:
    (low, high), (low_95, high_95) = forecast.bounds[0.8], forecast.bounds[0.95]
    return {
        "predicted_requests": float(forecast.point[step]) * _UNIT,
        "lower_bound": float(low[step]) * _UNIT,
        "upper_bound": float(high[step]) * _UNIT,
        "lower_bound_95": float(low_95[step]) * _UNIT,
        "upper_bound_95": float(high_95[step]) * _UNIT,
        "unreconciled_requests": float(forecast.alone[step]) * _UNIT,
    }


DERIVATION = Derivation(
    version=FORECAST_VERSION,
    windows={_REQUESTS: Window(days=TRAINING_DAYS, columns=("service", "agent_id"))},
    derive=derive,
    refresh_d=7,
    settings=(HOLIDAYS,),
)

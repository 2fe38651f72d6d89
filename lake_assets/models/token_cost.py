"""`derived/predictions/token_cost_forecast`: tokens and their cost per day, 14 days ahead.

Belongs here: which series there are, and their rows.
Does not belong here: how a series is forecast (`forecasting`).

Series are `total`, `model=PROVIDER/MODEL` and `agent=ID`; calls that name no agent are a part of
their own. Cost is in US dollars, in whole micro-dollars; tokens are forecast by themselves, in
whole tokens, and both add up. Model, errors and intervals of a row are those of the cost. Both are
means, since they will be added up. A stored day without a call is a day of zero, a day that the
lake lacks is a gap.

Cost is calls times tokens per call times the price of a token: tokens per call are those of the
last four weeks, calls and price follow from them and from the two forecasts.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake_assets.models.derivation import Derivation, Inputs, Window
from lake_assets.models.forecast_calendar import DaysOff
from lake_assets.models.forecast_rows import (
    FORECAST_VERSION,
    HOLIDAYS,
    MOST_PARTS,
    SUMMED_RULES,
    TRAINING_DAYS,
    common,
    days_off_around,
    days_present,
    last_present,
    recent_days,
    still_active,
    with_gaps,
)
from lake_assets.models.forecasting import LIMIT_UNITS, WholeForecast, forecast_parts
from lake_assets.models.series import (
    OTHER_NAME,
    Flags,
    Floats,
    Span,
    at_most,
    daily_sums,
    known,
    names_of,
    numbers,
    pairs_of,
)

CALLS = "platform/llm_token_usage"
_COLUMNS = ("provider", "model", "agent_id", "total_tokens", "cost_usd")
MICRO = 1e-6
COST_LIMIT = 1e15
"""Micro-dollars of a series and day beyond which the sum of all would not fit its column."""

Parts = dict[str, Floats]
Kinds = dict[str, Parts]


def derive(inputs: Inputs, /, *, day: date) -> Iterator[Mapping[str, object]]:
    """The forecasts made on `day`: one row per series and target day; none without calls."""
    span = Span(last=day, days=TRAINING_DAYS)
    rows = known(inputs[CALLS], span)
    if not rows.num_rows:
        return
    present = days_present(inputs, CALLS, rows, span)
    names = names_by_kind(rows)
    spent, used, called = (
        {kind: daily_sums(rows, each, values, span) for kind, each in names.items()}
        for values in (numbers(rows, "cost_usd"), numbers(rows, "total_tokens"), None)
    )
    cost: Kinds = {}
    tokens: Kinds = {}
    for kind in names:
        cost[kind], tokens[kind] = _parts(spent[kind], used[kind], present)
    off = days_off_around(inputs, span, SUMMED_RULES.horizon)
    costs = _forecast(spent["agent"], cost, present, off, unit=MICRO, limit=COST_LIMIT)
    counts = _forecast(used["agent"], tokens, present, off, unit=1.0, limit=LIMIT_UNITS)
    per_call = _tokens_per_call(tokens, used, called, recent_days(present))
    end = last_present(span, present)
    for key, forecast in costs.items():
        shared = common(series_key=key, day=day, training_end=end, made=forecast.made)
        about = model_of(key)
        for step, row in enumerate(shared):
            yield row | about | _figures(forecast, counts[key], per_call.get(key), step)


def names_by_kind(rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    """What the parts of each kind are named by."""
    return {"model": pairs_of(rows, "provider", "model"), "agent": names_of(rows, "agent_id")}


def _tokens_per_call(
    tokens: Kinds, used: Kinds, called: Kinds, recent: NDArray[np.int64]
) -> dict[str, float]:
    """Tokens per call of the recent days by series, where there were calls."""
    found: dict[str, float] = {}
    for kind, parts in tokens.items():
        calls = {name: float(each[recent].sum()) for name, each in called[kind].items()}
        for name, each in parts.items():
            named = [name] if name != OTHER_NAME else sorted(calls.keys() - parts.keys())
            count = sum(calls[one] for one in named)
            if count > 0:
                found[f"{kind}={name}"] = float(each[recent].sum()) / count
    count = sum(float(each[recent].sum()) for each in called["agent"].values())
    if count > 0:
        found["total"] = sum(float(each[recent].sum()) for each in used["agent"].values()) / count
    return found


def _parts(spent: Parts, used: Parts, present: Flags) -> tuple[Parts, Parts]:
    """The same parts of cost and of tokens: what is free is told apart by its tokens."""
    active = still_active(spent, present).keys() | still_active(used, present).keys()
    cost = at_most({name: spent[name] for name in sorted(active)}, MOST_PARTS)
    tokens = {name: used[name] for name in cost if name != OTHER_NAME}
    if OTHER_NAME in cost:
        tokens[OTHER_NAME] = np.sum([used[name] for name in sorted(active - tokens.keys())], axis=0)
    return cost, tokens


def _forecast(
    everything: Parts, kinds: Kinds, present: Flags, off: DaysOff, *, unit: float, limit: float
) -> dict[str, WholeForecast]:
    gapped = {
        kind: {name: with_gaps(values, present) for name, values in parts.items()}
        for kind, parts in kinds.items()
    }
    total = with_gaps(np.sum(list(everything.values()), axis=0), present)
    return forecast_parts(total, gapped, SUMMED_RULES, unit=unit, limit_units=limit, days_off=off)


def model_of(key: str) -> dict[str, object]:
    """Provider and model of a `model` series."""
    kind, _, name = key.partition("=")
    provider, slash, model = name.partition("/")
    known_model = kind == "model" and bool(slash)
    return {
        "provider": provider if known_model else None,
        "llm_model": model if known_model else None,
    }


def _figures(
    cost: WholeForecast, tokens: WholeForecast, per_call: float | None, step: int
) -> dict[str, object]:
    (low, high), (low_95, high_95) = cost.bounds[0.8], cost.bounds[0.95]
    count, spent = float(tokens.point[step]), float(cost.point[step]) * MICRO
    return {
        "predicted_tokens": count,
        "predicted_cost_usd": usd(int(cost.point[step])),
        "lower_cost_usd": usd(int(low[step])),
        "upper_cost_usd": usd(int(high[step])),
        "lower_cost_95_usd": usd(int(low_95[step])),
        "upper_cost_95_usd": usd(int(high_95[step])),
        "unreconciled_cost_usd": usd(int(cost.alone[step])),
        "unreconciled_tokens": float(tokens.alone[step]),
        "predicted_calls": count / per_call if per_call else None,
        "tokens_per_call": per_call,
        "usd_per_million_tokens": spent / count * 1e6 if count else None,
    }


def usd(micro: int) -> Decimal:
    """Whole micro-dollars in dollars."""
    return Decimal(micro).scaleb(-6)


DERIVATION = Derivation(
    version=FORECAST_VERSION,
    windows={CALLS: Window(days=TRAINING_DAYS, columns=_COLUMNS)},
    derive=derive,
    refresh_d=7,
    settings=(HOLIDAYS,),
)

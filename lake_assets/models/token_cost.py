"""`derived/predictions/token_cost_forecast`: tokens and their cost per day, 14 days ahead.

Belongs here: which series there are, and their rows.
Does not belong here: how a series is forecast (`forecasting`).

Series are `total`, `model=PROVIDER/MODEL` and `agent=ID`; calls that name no agent are a part of
their own. Cost is in US dollars, in whole micro-dollars; tokens are forecast by themselves, in
whole tokens, and both add up. Model, errors and intervals of a row are those of the cost. A day
of which the lake has no call at all is a gap, not a day of zero.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa

from lake_assets.models.derivation import Derivation, Window
from lake_assets.models.forecast_rows import (
    FORECAST_VERSION,
    MOST_PARTS,
    RULES,
    TRAINING_DAYS,
    common,
    last_present,
    still_active,
    with_gaps,
)
from lake_assets.models.forecasting import WholeForecast, forecast_parts
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
    present_days,
)

_CALLS = "platform/llm_token_usage"
_COLUMNS = ("provider", "model", "agent_id", "total_tokens", "cost_usd")
_MICRO = 1e-6

Parts = dict[str, Floats]
Kinds = dict[str, Parts]


def derive(inputs: Mapping[str, pa.Table], /, *, day: date) -> Iterator[Mapping[str, object]]:
    """The forecasts made on `day`: one row per series and target day; none without calls."""
    span = Span(last=day, days=TRAINING_DAYS)
    rows = known(inputs[_CALLS], span)
    if not rows.num_rows:
        return
    present = present_days(rows, span)
    models = pairs_of(rows, "provider", "model")
    names = {"model": models, "agent": names_of(rows, "agent_id")}
    spent, used = (
        {kind: daily_sums(rows, each, numbers(rows, column), span) for kind, each in names.items()}
        for column in ("cost_usd", "total_tokens")
    )
    cost: Kinds = {}
    tokens: Kinds = {}
    for kind in names:
        cost[kind], tokens[kind] = _parts(spent[kind], used[kind])
    costs = _forecast(spent["agent"], cost, present, unit=_MICRO)
    counts = _forecast(used["agent"], tokens, present, unit=1.0)
    end = last_present(span, present)
    for key, forecast in costs.items():
        shared = common(
            series_key=key,
            day=day,
            trained_on=forecast.trained_on,
            training_end=end,
            test=forecast.backtest,
        )
        about = _model_of(key)
        for step, row in enumerate(shared):
            yield row | about | _figures(forecast, counts[key], step)


def _parts(spent: Parts, used: Parts) -> tuple[Parts, Parts]:
    """The same parts of cost and of tokens: what is free is told apart by its tokens."""
    active = still_active(spent).keys() | still_active(used).keys()
    cost = at_most({name: spent[name] for name in sorted(active)}, MOST_PARTS)
    tokens = {name: used[name] for name in cost if name != OTHER_NAME}
    if OTHER_NAME in cost:
        tokens[OTHER_NAME] = np.sum([used[name] for name in sorted(active - tokens.keys())], axis=0)
    return cost, tokens


def _forecast(
    everything: Parts, kinds: Kinds, present: Flags, *, unit: float
) -> dict[str, WholeForecast]:
    gapped = {
        kind: {name: with_gaps(values, present) for name, values in parts.items()}
        for kind, parts in kinds.items()
    }
    total = np.sum(list(everything.values()), axis=0)
    return forecast_parts(with_gaps(total, present), gapped, RULES, unit=unit)


def _model_of(key: str) -> dict[str, object]:
    kind, _, name = key.partition("=")
    provider, slash, model = name.partition("/")
    known_model = kind == "model" and bool(slash)
    return {
        "provider": provider if known_model else None,
        "llm_model": model if known_model else None,
    }


def _figures(cost: WholeForecast, tokens: WholeForecast, step: int) -> dict[str, object]:
    (low, high), (low_95, high_95) = cost.bounds[0.8], cost.bounds[0.95]
    return {
        "predicted_tokens": float(tokens.point[step]),
        "predicted_cost_usd": _usd(int(cost.point[step])),
        "lower_cost_usd": _usd(int(low[step])),
        "upper_cost_usd": _usd(int(high[step])),
        "lower_cost_95_usd": _usd(int(low_95[step])),
        "upper_cost_95_usd": _usd(int(high_95[step])),
    }


def _usd(micro: int) -> Decimal:
    return Decimal(micro).scaleb(-6)


DERIVATION = Derivation(
    version=FORECAST_VERSION,
    windows={_CALLS: Window(days=TRAINING_DAYS, columns=_COLUMNS)},
    derive=derive,
    refresh_d=7,
)

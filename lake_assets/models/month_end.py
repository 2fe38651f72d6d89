"""`derived/predictions/month_end_projection`: what language models cost by the end of the month.

Belongs here: the month, its known days, the budget, and the rows.
Does not belong here: how a day is forecast (`forecasting`), how sums are simulated
(`forecast_paths`).

Series are those of `token_cost_forecast`. The month is that of the day. A projection is what the
known days of the month cost, and the forecast of the others up to its end: days ahead, and days
that the lake lacks.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import date, timedelta

import numpy as np

from lake_assets.models.derivation import Derivation, Inputs, Window, setting_of
from lake_assets.models.forecast_paths import Sums, paths, shared, sums
from lake_assets.models.forecast_reconcile import whole_units
from lake_assets.models.forecast_rows import (
    FORECAST_VERSION,
    HOLIDAYS,
    MOST_PARTS,
    SUMMED_RULES,
    TRAINING_DAYS,
    days_off_around,
    days_present,
    explanation,
    identity,
    model_version,
    status,
    still_active,
    with_gaps,
)
from lake_assets.models.forecasting import WholeForecast, forecast_parts
from lake_assets.models.series import (
    Flags,
    Floats,
    Span,
    at_most,
    daily_sums,
    filled,
    known,
    numbers,
)
from lake_assets.models.token_cost import (
    CALLS,
    COST_LIMIT,
    MICRO,
    model_of,
    names_by_kind,
    usd,
)

BUDGET = "LAKE_MONTHLY_BUDGET_USD"


def derive(inputs: Inputs, /, *, day: date) -> Iterator[Mapping[str, object]]:
    """The projections made on `day`: one row per series; none without calls."""
    span = Span(last=day, days=TRAINING_DAYS)
    rows = known(inputs[CALLS], span)
    if not rows.num_rows:
        return
    present = days_present(inputs, CALLS, rows, span)
    spent = {
        kind: daily_sums(rows, each, numbers(rows, "cost_usd"), span)
        for kind, each in names_by_kind(rows).items()
    }
    # What stands in for a day that the lake lacks reaches two weeks back, to before the month.
    recent = max(day.day, 28) + 2 * SUMMED_RULES.season
    kinds = {
        kind: at_most(still_active(parts, present, days=recent), MOST_PARTS)
        for kind, parts in spent.items()
    }
    total = np.sum(list(spent["agent"].values()), axis=0)
    left = (month_end(day) - day).days
    ahead = max(left, 1)
    made = forecast_parts(
        with_gaps(total, present),
        {
            kind: {name: with_gaps(values, present) for name, values in parts.items()}
            for kind, parts in kinds.items()
        },
        SUMMED_RULES,
        unit=MICRO,
        ahead=ahead,
        limit_units=COST_LIMIT,
        days_off=days_off_around(inputs, span, ahead),
    )
    costs = {"total": total} | {
        f"{kind}={name}": values for kind, parts in kinds.items() for name, values in parts.items()
    }
    budget: float | None = setting_of(inputs, BUDGET)
    each = {
        key: filled(with_gaps(values, present), SUMMED_RULES.season)[-day.day :]
        for key, values in costs.items()
    }
    estimates = _estimates(each, present[-day.day :], kinds)
    for key, forecast in made.items():
        month = _Month(
            each=each[key],
            known=present[-day.day :],
            estimated=estimates[key],
            day=day,
            left=left,
            made=forecast,
        )
        of_total = budget if key == "total" else None
        yield _row(key, month, of_total) | _against(of_total, month)


def _estimates(
    each: Mapping[str, Floats], known: Flags, kinds: Mapping[str, Collection[str]]
) -> dict[str, int]:
    """Whole micro-dollars that days missing in the lake did cost, so that parts add up.

    Each is what is usual for its weekday.
    """
    sums_of = {key: float(values[~known].sum()) for key, values in each.items()}
    names = [[f"{kind}={name}" for name in parts] for kind, parts in kinds.items()]
    total, parts = whole_units(
        np.array([sums_of["total"]]),
        [np.array([[sums_of[key]] for key in keys]).reshape(-1, 1) for keys in names],
        MICRO,
    )
    found = {"total": int(total[0])}
    for keys, values in zip(names, parts, strict=True):
        found.update({key: int(value) for key, value in zip(keys, values[:, 0], strict=True)})
    return found


class _Month:
    """The days of a month for one series: what is known of them, and paths of the others."""

    def __init__(
        self,
        *,
        each: Floats,
        known: Flags,
        estimated: int,
        day: date,
        left: int,
        made: WholeForecast,
    ) -> None:
        self.day, self.left, self.made = day, left, made
        self.each = each
        self.missing = int((~known).sum())
        self.to_date = round(float(each[known].sum()) / MICRO)
        self.so_far = self.to_date + estimated
        one = made.made
        drawn = paths(one.point, one.spread, shared(one.backtest.errors))
        self.ahead: Sums = sums(drawn[:, :left])

    @property
    def before(self) -> float:
        """The cost up to the day, with what is estimated of days that are missing."""
        return self.so_far * MICRO

    @property
    def expected(self) -> int:
        """The mean of the projection, in whole micro-dollars, so that parts add up."""
        return self.so_far + int(self.made.point[: self.left].sum())

    def reached(self, budget: float) -> date | None:
        """The day on which the month's cost reaches a sum, in the middle of all paths."""
        along = np.concatenate((np.cumsum(self.each), self.before + self.ahead.after))
        above = np.flatnonzero(along >= budget)
        return self.day.replace(day=1) + timedelta(days=int(above[0])) if len(above) else None


def _row(key: str, month: _Month, budget: float | None) -> dict[str, object]:
    one, end = month.made.made, month_end(month.day)
    low, middle, high = (
        usd(round((month.before + month.ahead.quantile(each)) / MICRO)) for each in (0.1, 0.5, 0.9)
    )
    return {
        "projection_id": identity(key, month.day, end),
        "model_name": one.backtest.model,
        "model_version": model_version(),
        "series_key": key,
        **model_of(key),
        "month_start": month.day.replace(day=1),
        "month_end": end,
        "days_left": month.left,
        "days_missing": month.missing,
        "month_to_date_usd": usd(month.to_date),
        "projected_cost_usd": usd(month.expected),
        "projected_10_usd": low,
        "projected_50_usd": middle,
        "projected_90_usd": high,
        "is_fallback": bool(one.backtest.fallback_reason),
        "status": status(one),
        "explanation": _explanation(month, budget),
    }


def _explanation(month: _Month, budget: float | None) -> str:
    """What the month comes to, when the budget is used up, and how the days ahead were forecast."""
    spent = f"{month.to_date * MICRO:,.2f} USD"
    missing = ""
    if month.missing:
        days = "1 day of it is" if month.missing == 1 else f"{month.missing} days of it are"
        missing = f"; {days} missing and estimated"
    if not month.left:
        said = [f"{month.day:%B %Y} is over and cost {spent}{missing}."]
    else:
        low, high = (month.before + month.ahead.quantile(each) for each in (0.1, 0.9))
        said = [
            f"{spent} were spent from {month.day.replace(day=1)} to {month.day}{missing}. The "
            f"whole month comes to {month.expected * MICRO:,.2f} USD, in 80 % of simulated months "
            f"to between {low:,.2f} and {high:,.2f} USD."
        ]
    if budget is not None:
        said.append(_of_budget(month, budget))
    if month.left:
        said.append(explanation(month.made.made))
    return " ".join(said)


def _of_budget(month: _Month, budget: float) -> str:
    day, sum_ = month.reached(budget), f"The budget of {budget:,.2f} USD"
    if day is None:
        return f"{sum_} lasts to the end of the month."
    if day <= month.day:
        return f"{sum_} was used up on {day}."
    return f"{sum_} is expected to be used up on {day}."


def _against(budget: float | None, month: _Month) -> dict[str, object]:
    if budget is None:
        return {"budget_usd": None, "budget_used_up_on": None, "over_budget_probability": None}
    over = month.before + month.ahead.totals > budget
    return {
        "budget_usd": usd(round(budget / MICRO)),
        "budget_used_up_on": month.reached(budget),
        "over_budget_probability": round(float(over.mean()), 4),
    }


def month_end(day: date) -> date:
    """The last day of the month of a day."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


DERIVATION = Derivation(
    version=FORECAST_VERSION,
    windows={
        CALLS: Window(days=TRAINING_DAYS, columns=("provider", "model", "agent_id", "cost_usd"))
    },
    derive=derive,
    refresh_d=7,
    settings=(HOLIDAYS, BUDGET),
)

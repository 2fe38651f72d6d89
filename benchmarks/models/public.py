"""Public series that Python packages ship: statsmodels and vega_datasets, read from disk.

Belongs here: which series, their season and horizon.
Does not belong here: forecasting them.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels import datasets
from vega_datasets import local_data

from lake_assets.models.forecast_backtest import Rules
from lake_assets.models.series import Floats

DAILY = Rules()
MONTHLY = Rules(season=12, horizon=18, windows=4)
# Horizons of the M competitions. Few origins close together tell of one kind of times only.
QUARTERLY = Rules(season=4, horizon=8, windows=12)
YEARLY = Rules(season=1, horizon=6, windows=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """A series with the rules that its rhythm asks for; `train` is how many values are used."""

    name: str
    group: str
    values: Floats
    rules: Rules
    train: int


def public_series() -> list[Public]:
    """All that are longer than their training window and horizon, in a fixed order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [*_daily(), *_monthly(), *_quarterly(), *_yearly()]
    return [each for each in found if len(each.values) >= each.train + each.rules.horizon]


def _daily() -> Iterator[Public]:
    weather = local_data.seattle_weather()
    for column in ("temp_max", "temp_min", "wind", "precipitation"):
        # Degrees Fahrenheit: the models are for amounts, which are never below 0.
        values = weather[column].to_numpy(np.float64)
        values = values * 1.8 + 32 if column.startswith("temp") else values
        yield _public(f"seattle-weather {column}", "daily", values, DAILY, 126)
    for name in ("seattle_temps", "sf_temps"):
        hourly = getattr(local_data, name)()
        temps = hourly.set_index("date")["temp"].resample("D").mean().dropna()
        yield _public(name.replace("_", "-"), "daily", temps.to_numpy(), DAILY, 126)


def _monthly() -> Iterator[Public]:
    jobs = local_data.us_employment()
    for column in jobs.columns.drop(["month", "nonfarm_change"]):
        yield _public(f"us-employment {column}", "monthly", jobs[column], MONTHLY, 84)
    stocks = local_data.stocks()
    for symbol, rows in stocks.groupby("symbol"):
        yield _public(f"stocks {symbol}", "monthly", rows["price"], MONTHLY, 84)
    nino = datasets.elnino.load_pandas().data.drop(columns="YEAR")
    yield _public("elnino", "monthly", nino.to_numpy().ravel(), MONTHLY, 120)
    co2 = datasets.co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    yield _public("co2", "monthly", co2, MONTHLY, 120)


def _quarterly() -> Iterator[Public]:
    macro = datasets.macrodata.load_pandas().data
    for column in (
        "realgdp",
        "realcons",
        "realinv",
        "realgovt",
        "realdpi",
        "cpi",
        "m1",
        "tbilrate",
        "unemp",
        "pop",
    ):
        yield _public(f"macrodata {column}", "quarterly", macro[column], QUARTERLY, 100)


def _yearly() -> Iterator[Public]:
    sunspots = datasets.sunspots.load_pandas().data["SUNACTIVITY"]
    yield _public("sunspots", "yearly", sunspots, YEARLY, 100)
    nile = datasets.nile.load_pandas().data["volume"]
    yield _public("nile", "yearly", nile, YEARLY, 60)


def _public(
    name: str, group: str, values: "Floats | pd.Series[float]", rules: Rules, train: int
) -> Public:
    array = np.asarray(values, dtype=np.float64)
    return Public(name=name, group=group, values=array, rules=rules, train=train)

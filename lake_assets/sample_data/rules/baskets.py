"""Line items: what was bought, so that the lines of a row add up to its subtotal.

Belongs here: baskets for tables with a column `line_items`.
Does not belong here: discounts, taxes and totals (`money`).
"""

import json
from functools import cache
from typing import NamedTuple

import numpy as np

from lake_assets.catalog import ColumnType
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.seeds import generator
from lake_assets.sample_data.values import MICRO, Ints, Values, coded, to_arrow

_CENT = MICRO // 100


class _Baskets(NamedTuple):
    texts: tuple[str, ...]
    subtotals: Ints
    units: Ints


_BASKETS = 200


@cache
def _baskets(keys: tuple[str, ...], products: tuple[str, ...]) -> _Baskets:
    rng = generator("baskets", *keys)
    texts: list[str] = []
    subtotals: list[int] = []
    units: list[int] = []
    for _ in range(_BASKETS):
        lines: list[dict[str, object]] = []
        subtotal = 0
        for place in rng.integers(0, len(products), int(rng.integers(1, 5))):
            quantity, price = int(rng.integers(1, 4)), int(rng.integers(199, 9_999))
            what = (products[place], f"SKU-{int(place):05d}", quantity, price / 100)
            lines.append(
                dict(zip(keys, what if len(keys) == 4 else (what[0], *what[2:]), strict=True))
            )
            subtotal += quantity * price
        texts.append(json.dumps(lines, ensure_ascii=False))
        subtotals.append(subtotal * _CENT)
        units.append(sum(int(str(line["quantity"])) for line in lines))
    return _Baskets(tuple(texts), np.array(subtotals), np.array(units))


_SERVICES = ("Platform fee", "Model usage", "Beratung (Stunden)", "サポート契約", "Seats")


def _basket(frame: Frame) -> tuple[_Baskets, Ints]:
    chosen = frame.rng("basket").integers(0, _BASKETS, frame.rows)
    if frame.has("item_count"):
        return _baskets(("product_id", "sku", "quantity", "price"), _product_ids(frame)), chosen
    return _baskets(("description", "quantity", "unit_price"), _SERVICES), chosen


def _product_ids(frame: Frame) -> tuple[str, ...]:
    tables = frame.frames.tables.values()
    table = next((each for each in tables if each.own_id == "product_id"), None)
    if table is None or not frame.frames.parts(table, frame.day):
        return tuple(f"pro_{number:04d}" for number in range(40))
    products = frame.frames.frame(table, frame.day, 0)
    few = products.values("product_id").take(np.arange(min(60, products.rows)))
    return tuple(to_arrow(few, ColumnType.STRING).to_pylist())


def line_items(frame: Frame) -> Values:
    """The lines of each row's basket, as a JSON array."""
    baskets, chosen = _basket(frame)
    return coded(chosen, baskets.texts)


def subtotal(frame: Frame) -> Ints:
    """What the lines cost together, in micro-units."""
    baskets, chosen = _basket(frame)
    return baskets.subtotals[chosen]


def units(frame: Frame) -> Ints:
    """How many units the lines have together."""
    baskets, chosen = _basket(frame)
    return baskets.units[chosen]

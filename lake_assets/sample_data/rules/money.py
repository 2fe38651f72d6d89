"""Columns that say what it costs: decimals whose sums come out even.

Belongs here: rules for decimal columns, and the parts that make up a total.
Does not belong here: prices of models (`world`), currencies.
"""

from typing import NamedTuple

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import course, usage
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.rules import baskets
from lake_assets.sample_data.rules.match import Make, rules
from lake_assets.sample_data.rules.numbers import TOKEN_COLUMNS
from lake_assets.sample_data.values import MICRO, Ints, Values, plain

_CENT = MICRO // 100


class Bill(NamedTuple):
    """The parts of a total, in micro-units: total = subtotal - discount + tax + shipping."""

    subtotal: Ints
    discount: Ints
    tax: Ints
    shipping: Ints

    @property
    def total(self) -> Ints:
        """What is to be paid."""
        return self.subtotal - self.discount + self.tax + self.shipping


def bill(frame: Frame) -> Bill:
    """The bill behind each row; a part that the table has no column for is 0."""
    return frame.memo("bill", _bill)


def _bill(frame: Frame) -> Bill:
    lines = frame.has("line_items")
    subtotal = baskets.subtotal(frame) if lines else cents(frame, "subtotal", median=80.0)
    discounted = frame.chance("discount", 0.2) & frame.has("discount_total")
    discount = np.where(discounted, _to_cents(subtotal // 10), 0)
    tax = _to_cents((subtotal - discount) * 19 // 100) * frame.has("tax_total")
    shipped = frame.chance("shipping", 0.6) & frame.has("shipping_total")
    return Bill(subtotal, discount, tax, np.where(shipped, 495 * _CENT, 0))


def _to_cents(micros: Ints) -> Ints:
    return micros // _CENT * _CENT


def cents(frame: Frame, what: str, *, median: float) -> Ints:
    """Amounts in whole cents, in micro-units."""
    drawn = frame.rng(what).lognormal(np.log(median), 0.9, frame.rows)
    return np.maximum(1, np.rint(drawn * 100)).astype(np.int64) * _CENT


def decimal(frame: Frame, column: Column) -> Values:
    """A decimal column."""
    return _DECIMALS.make(frame, column)


def _part_of_bill(part: str) -> Make:
    def make(frame: Frame, _column: Column) -> Values:
        return plain(getattr(bill(frame), part))

    return make


def _paid(frame: Frame, column: Column) -> Values:
    total = bill(frame).total
    name = course.status_column(frame)
    paid = total
    if name is not None:
        status = frame.values(name)
        half = np.where(status.is_word("partial"), _to_cents(total // 2), 0)
        paid = np.where(status.is_word("paid"), total, half)
    return plain(paid if column.name == "amount_paid" else total - paid)


def _earned(frame: Frame, column: Column) -> Values:
    gross = cents(frame, "gross_usd", median=12.0)
    name = course.status_column(frame)
    if name is not None:
        gross = np.where(frame.values(name).is_word("reversed"), -gross, gross)
    fee = gross * 15 // 100
    return plain({"gross_usd": gross, "platform_fee_usd": fee}.get(column.name, gross - fee))


def _fee(frame: Frame, column: Column) -> Values:
    if not frame.has_numbers("amount"):
        return _about(1.0)(frame, column)
    return plain(_to_cents(frame.values("amount").data * 29 // 1_000) + 30 * _CENT)


def _cost(frame: Frame, _column: Column) -> Values:
    if any(frame.has(name) for name in TOKEN_COLUMNS):
        return plain(usage.token_cost(frame))
    # A fifth of a cent, and a third of a cent for each minute that it takes, to six places.
    rate = frame.rng("rate").lognormal(np.log(60.0), 0.3, frame.rows)
    return plain(np.rint(2_000 + rate * usage.taken_us(frame) / MICRO).astype(np.int64))


def _credits(frame: Frame, column: Column) -> Values:
    drawn = frame.rng(column.name).lognormal(0.0, 1.0, frame.rows)
    return plain(np.rint(drawn * MICRO).astype(np.int64))


def _about(median: float) -> Make:
    def make(frame: Frame, column: Column) -> Values:
        return plain(cents(frame, column.name, median=median))

    return make


_DECIMALS = rules(
    ("subtotal", _part_of_bill("subtotal")),
    ("discount_total", _part_of_bill("discount")),
    ("tax_total", _part_of_bill("tax")),
    ("shipping_total", _part_of_bill("shipping")),
    ("total", _part_of_bill("total")),
    (r"amount_(paid|due)", _paid),
    (r"(gross|platform_fee|net)_usd", _earned),
    ("fee", _fee),
    ("credits_balance", _about(5_000.0)),
    (r".*credit.*", _credits),
    ("monthly_cost_usd", _about(900.0)),
    (r"(.*_)?cost_usd", _cost),
    ("amount", _about(2_500.0)),
    (r"(.*_)?price|cost", _about(40.0)),
    otherwise=_about(60.0),
)

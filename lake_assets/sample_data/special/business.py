"""The business apps: pipelines, baskets, calls, shares.

Belongs here: special columns of the `business/` datasets.
Does not belong here: what holds for columns of any dataset (`rules`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from lake_assets.catalog import Column
from lake_assets.sample_data import usage
from lake_assets.sample_data.frame import DAY_US, Frame
from lake_assets.sample_data.pools import WORDS
from lake_assets.sample_data.rhythm import falling_weights
from lake_assets.sample_data.rules import times
from lake_assets.sample_data.values import MICRO, Ints, Mask, Values, coded, plain

DEALS, STAGES = "business/crm/deals", "business/crm/pipeline"
PRODUCTS = "business/commerce/products"
GRANTS, CLASSES = "business/equity/grants", "business/equity/share_classes"

_STAGE_CHANCES: Mapping[str, float] = MappingProxyType(
    {"Lead": 0.1, "Qualified": 0.3, "Demo 🖥️": 0.5, "Negotiation": 0.7, "Won": 1.0, "Lost": 0.0}
)
_PIPELINE_NAMES = ("New business", "Renewals", "Partner — Asien/アジア")


def _stage_number(frame: Frame, column: Column) -> Values:
    stage = frame.values("stage_name")
    if column.name == "position":
        return plain(stage.data + 1)
    return plain(np.array([_STAGE_CHANCES.get(word, 0.5) for word in stage.words])[stage.data])


def _stage_is(frame: Frame, column: Column) -> Values:
    return plain(frame.values("stage_name").is_word(column.name.removeprefix("is_").title()))


def _pipeline_name(frame: Frame, _column: Column) -> Values:
    return coded(frame.values("pipeline_id").data % len(_PIPELINE_NAMES), _PIPELINE_NAMES)


def _open_deals(frame: Frame, column: Column) -> Values:
    """Deals that stand in each stage: the sums of the table of deals."""
    sums = np.zeros(frame.rows, dtype=np.int64)
    table = frame.frames.tables.get(DEALS)
    for part, _ in enumerate(frame.frames.parts(table, frame.day) if table else ()):
        deals = frame.frames.frame(frame.frames.tables[DEALS], frame.day, part)
        rows, is_open = _stage_rows(deals), deals.values("status").is_word("open")
        amount = deals.values("amount")
        known = is_open if amount.null is None else is_open & ~amount.null
        worth = is_open.astype(np.int64) if column.name == "deals_open" else amount.data * known
        np.add.at(sums, rows, worth)
    return plain(sums)


def _stage_rows(deals: Frame) -> Ints:
    relative = deals.relative()
    return relative[1] if relative else np.zeros(deals.rows, dtype=np.int64)


def _deal_status(frame: Frame, column: Column) -> Values:
    words = column.values or ("open", "won", "lost")
    stage = frame.values("stage_name")
    codes = np.where(
        stage.is_word("Won"),
        words.index("won"),
        np.where(stage.is_word("Lost"), words.index("lost"), words.index("open")),
    )
    return coded(codes, words)


def _deal_chance(frame: Frame, _column: Column) -> Values:
    stage = frame.values("stage_name")
    return plain(np.array([_STAGE_CHANCES.get(word, 0.5) for word in stage.words])[stage.data])


def _deal_stage(frame: Frame, column: Column) -> Values:
    """The stage as its own table names it, known for every deal."""
    relative = frame.relative()
    if relative is None:
        return frame.words(column.name, WORDS["stage_name"])
    stages, rows = relative
    return stages.values(column.name).take(rows)


def _amount_of_invoice(frame: Frame, _column: Column) -> Values:
    relative = frame.relative()
    if relative is None:
        return plain(np.full(frame.rows, 100 * MICRO))
    invoices, rows = relative
    return plain(invoices.values("amount_paid").data[rows])


def _issued(frame: Frame, _column: Column) -> Values:
    return plain(frame.values("created_at").data // DAY_US)


def _due(frame: Frame, _column: Column) -> Values:
    """30 days after it was made; if overdue, at the latest on the day it was last changed."""
    created = frame.values("created_at").data // DAY_US
    passed = np.maximum(created, frame.values("updated_at").data // DAY_US - 1)
    return plain(np.where(frame.values("status").is_word("overdue"), passed, created + 30))


def _answered(frame: Frame) -> Mask:
    return frame.values("status").is_word("completed", "voicemail")


def _ring_us(frame: Frame) -> Ints:
    return frame.rng("ring").integers(1, 25, frame.rows) * MICRO


def _answered_at(frame: Frame, _column: Column) -> Values:
    return plain(times.started(frame) + _ring_us(frame))


def _hung_up(frame: Frame, _column: Column) -> Values:
    talk = np.where(_answered(frame), usage.taken_us(frame), 0)
    return plain(times.started(frame) + _ring_us(frame) + talk)


def _talk_s(frame: Frame, _column: Column) -> Values:
    return plain(np.where(_answered(frame), usage.taken_us(frame) // MICRO, 0))


def _shares(frame: Frame, column: Column) -> Values:
    granted = frame.rng("quantity").integers(1, 200, frame.rows) * 500
    vested = (granted * frame.rng("vested").random(frame.rows)).astype(np.int64)
    exercised = np.where(frame.chance("exercised", 0.25), vested // 2, 0)
    cancelled = np.where(frame.values("status").is_word("cancelled"), granted - exercised, 0)
    known = {"quantity": granted, "vested_quantity": vested, "exercised_quantity": exercised}
    return plain(known.get(column.name, cancelled))


def _class_rows(frame: Frame) -> Ints | None:
    """The share class of each grant: one of its company's, as rows of that table."""
    table = frame.frames.tables.get(CLASSES)
    if table is None or not (table.has("company_id") and frame.has("company_id")):
        return None
    classes = frame.frames.frame(table, frame.day, 0)
    companies = classes.values("company_id").data
    wanted = frame.values("company_id").data
    turn = frame.rng("class").integers(0, 2, frame.rows)
    rows = np.zeros(frame.rows, dtype=np.int64)
    for company in np.unique(wanted):
        own = np.flatnonzero(companies == company)
        if len(own):
            mine = wanted == company
            rows[mine] = own[turn[mine] % len(own)]
    return rows


def _share_class(frame: Frame, column: Column) -> Values:
    rows = _class_rows(frame)
    if rows is None:
        return frame.words(column.name, ("sc_common", "sc_preferred"))
    classes = frame.frames.frame(frame.frames.tables[CLASSES], frame.day, 0)
    return classes.values(column.name).take(rows)


def _issued_shares(frame: Frame, _column: Column) -> Values:
    issued = np.zeros(frame.rows, dtype=np.int64)
    table = frame.frames.tables.get(GRANTS)
    for part, _ in enumerate(frame.frames.parts(table, frame.day) if table else ()):
        grants = frame.frames.frame(frame.frames.tables[GRANTS], frame.day, part)
        rows = _class_rows(grants)
        if rows is not None:
            np.add.at(issued, rows, grants.values("quantity").data)
    return plain(issued)


def _authorized(frame: Frame, _column: Column) -> Values:
    return plain(np.maximum(10_000_000, 2 * frame.values("issued_shares").data))


def _class_name(frame: Frame, _column: Column) -> Values:
    preferred = frame.values("class_type").is_word("preferred")
    return coded(preferred.astype(np.int64), ("Common", "Series A Preferred"))


def _par_value(frame: Frame, _column: Column) -> Values:
    return plain(np.array([1, 10, 100])[frame.rng("par").integers(0, 3, frame.rows)])


def _compared(frame: Frame, column: Column) -> Values:
    """The former price and the cost of a product, from its price."""
    price = frame.values("price").data
    share = 40 if column.name == "cost" else 125
    values = plain(price // 100 * share)
    return values.where_null(frame.chance(column.name, 0.05 if column.name == "cost" else 0.7))


def _one_of(*numbers: float) -> Callable[[Frame, Column], Values]:
    def make(frame: Frame, column: Column) -> Values:
        return plain(np.array(numbers)[frame.choose(column.name, falling_weights(len(numbers)))])

    return make


_SHARES = ("quantity", "vested_quantity", "exercised_quantity", "cancelled_quantity")

SPECIAL: Mapping[str, Mapping[str, Callable[[Frame, Column], Values]]] = MappingProxyType(
    {
        STAGES: {
            "position": _stage_number,
            "probability": _stage_number,
            "is_won": _stage_is,
            "is_lost": _stage_is,
            "pipeline_name": _pipeline_name,
            "deals_open": _open_deals,
            "deals_amount": _open_deals,
        },
        DEALS: {
            "stage_id": _deal_stage,
            "stage_name": _deal_stage,
            "status": _deal_status,
            "probability": _deal_chance,
        },
        PRODUCTS: dict.fromkeys(("cost", "compare_at_price"), _compared),
        "business/invoicing/invoices": {
            "issue_date": _issued,
            "due_date": _due,
        },
        "business/invoicing/payments": {"amount": _amount_of_invoice},
        "business/voice/calls": {
            "answered_at": _answered_at,
            "ended_at": _hung_up,
            "duration_s": _talk_s,
        },
        GRANTS: {
            "vesting_months": _one_of(48, 36, 24),
            "cliff_months": _one_of(12, 0, 6),
            "share_class_id": _share_class,
            **dict.fromkeys(_SHARES, _shares),
        },
        CLASSES: {
            "name": _class_name,
            "issued_shares": _issued_shares,
            "authorized_shares": _authorized,
            "par_value": _par_value,
            "liquidation_preference": _one_of(1.0, 1.5, 2.0),
            "votes_per_share": _one_of(1.0, 10.0, 0.0),
        },
    }
)

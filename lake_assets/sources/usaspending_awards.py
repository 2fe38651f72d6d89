"""What USAspending says of an award: the fields of each group, as they are asked for and stored.

Belongs here: shapes, groups, an award as a row.
Does not belong here: asking for them (`usaspending`).

An attribute is called as the column is; its `name` is the field of `spending_by_award`. A field
that is asked for is always answered, if only with null: one that is missing was renamed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import field

from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.personal import without_addresses
from lake_assets.sources.values import Loosely

A = TypeVar("A")

_MICRO = Decimal("0.000001")
_AMOUNTS = frozenset({"award_amount", "total_outlays", "loan_value", "subsidy_cost"})


class Code(msgspec.Struct):
    """A code and what it means."""

    code: Loosely[str | None]
    description: Loosely[str | None]


class Place(msgspec.Struct):
    """Where most of the work is done."""

    state_code: Loosely[str | None]
    county_code: Loosely[str | None]
    county_name: Loosely[str | None]
    city_name: Loosely[str | None]
    zip5: Loosely[str | None]


class Award(msgspec.Struct, kw_only=True):
    """What all groups have. The first two are answered without being asked for."""

    internal_id: int
    generated_internal_id: str
    award_id: Loosely[str | None] = field(name="Award ID")
    recipient_name: Loosely[str | None] = field(name="Recipient Name")
    recipient_uei: Loosely[str | None] = field(name="Recipient UEI")
    recipient_id: Loosely[str | None]
    awarding_agency: Loosely[str | None] = field(name="Awarding Agency")
    awarding_sub_agency: Loosely[str | None] = field(name="Awarding Sub Agency")
    funding_agency: Loosely[str | None] = field(name="Funding Agency")
    funding_sub_agency: Loosely[str | None] = field(name="Funding Sub Agency")
    base_obligation_date: Loosely[date | None] = field(name="Base Obligation Date")
    last_modified: str = field(name="Last Modified Date")
    description: str | None = field(name="Description")
    pop: Place = field(name="Primary Place of Performance")


class Spending(Award, kw_only=True):
    """Whatever is no loan."""

    start_date: Loosely[date | None] = field(name="Start Date")
    award_amount: Loosely[Decimal | None] = field(name="Award Amount")
    total_outlays: Loosely[Decimal | None] = field(name="Total Outlays")


class Procurement(Spending, kw_only=True):
    """What the government buys."""

    award_type: Loosely[str | None] = field(name="Contract Award Type")
    naics: Code = field(name="NAICS")
    psc: Code = field(name="PSC")


class Contract(Procurement, kw_only=True):
    """An order or a contract."""

    end_date: Loosely[date | None] = field(name="End Date")


class Vehicle(Procurement, kw_only=True):
    """A contract under which orders are placed: an indefinite delivery vehicle (IDV)."""

    end_date: Loosely[date | None] = field(name="Last Date to Order")


class Assistance(Spending, kw_only=True):
    """Grants, direct payments, insurance and the like."""

    award_type: Loosely[str | None] = field(name="Award Type")
    end_date: Loosely[date | None] = field(name="End Date")
    cfda_number: Loosely[str | None] = field(name="CFDA Number")


class Loan(Award, kw_only=True):
    """A loan, or a guarantee of one."""

    start_date: Loosely[date | None] = field(name="Issued Date")
    loan_value: Loosely[Decimal | None] = field(name="Loan Value")
    subsidy_cost: Loosely[Decimal | None] = field(name="Subsidy Cost")
    cfda_number: Loosely[str | None] = field(name="CFDA Number")


class PageMetadata(msgspec.Struct, rename="camel"):
    """Whether there is more, and behind which award it begins."""

    has_next: bool
    last_record_unique_id: int | None = field(name="last_record_unique_id")
    last_record_sort_value: str | None = field(name="last_record_sort_value")

    @property
    def cursor(self) -> Mapping[str, int | str | None]:
        """What to send for the next page."""
        return {
            "last_record_unique_id": self.last_record_unique_id,
            "last_record_sort_value": self.last_record_sort_value,
        }


class Page(msgspec.Struct, Generic[A]):
    """Answer of `/search/spending_by_award/`."""

    results: list[A]
    page_metadata: PageMetadata
    messages: list[str]


@dataclass(frozen=True, slots=True)
class Group:
    """Awards that may be asked for together, by the codes of their types."""

    codes: Sequence[str]
    award: type[Award]
    page: type[Page[Any]]

    @property
    def fields(self) -> Sequence[str]:
        """What to ask for."""
        names = [known.encode_name for known in msgspec.structs.fields(self.award)]
        return [name for name in names if name not in {"internal_id", "generated_internal_id"}]


def _group(codes: str, award: type[Award], page: type[Page[Any]]) -> Group:
    return Group(codes.split(), award, page)


GROUPS: Mapping[str, Group] = {
    "contracts": _group("A B C D", Contract, Page[Contract]),
    "idvs": _group("IDV_A IDV_B IDV_B_A IDV_B_B IDV_B_C IDV_C IDV_D IDV_E", Vehicle, Page[Vehicle]),
    "grants": _group("02 03 04 05 F001 F002", Assistance, Page[Assistance]),
    "direct_payments": _group("06 10 F006 F007", Assistance, Page[Assistance]),
    "loans": _group("07 08 F003 F004", Loan, Page[Loan]),
    "other": _group("09 11 -1 F005 F008 F009 F010", Assistance, Page[Assistance]),
}
"""By the names under which `/search/spending_by_award_count/` counts them."""


def as_row(award: Award, *, group: str, day: date) -> dict[str, object]:
    """The award by column name.

    Raises:
        SourceMismatch: it was last modified on another day than `day`, or nobody knows when.
    """
    last_modified = _moment(award.last_modified)
    if last_modified.date() != day:
        raise SourceMismatch(f"an award that was modified on {award.last_modified} came for {day}")
    row: dict[str, object] = {"award_group": group}
    for name, value in msgspec.structs.asdict(award).items():
        if isinstance(value, Code):
            row |= {f"{name}_code": value.code, f"{name}_description": value.description}
        elif name in _AMOUNTS and isinstance(value, int | Decimal):
            row[name] = Decimal(value).quantize(_MICRO)
        elif not isinstance(value, Place):
            row[name] = value or None
    return row | {
        "last_modified": last_modified,
        "description": without_addresses(award.description) if award.description else None,
        "pop_state_code": award.pop.state_code,
        "pop_county_code": award.pop.county_code,
        "pop_county_name": award.pop.county_name,
        "pop_city": award.pop.city_name,
        "pop_zip5": award.pop.zip5,
    }


def _moment(written: str) -> datetime:
    """`2026-11-21` or `2026-11-21 08:15:00`, taken as UTC."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        raise SourceMismatch(f"`Last Modified Date` is no moment: {written[:40]!r}") from None
    return found.replace(tzinfo=found.tzinfo or UTC)

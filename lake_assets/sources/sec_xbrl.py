"""The figures that public companies of the county report to the SEC, from their XBRL data.

**What.** Per company that filed a report on the day, all of its facts in one document of up to tens
of megabytes; those that were filed on the day are kept.

**Pages.** None. The document is checked as a whole and then read concept by concept, so that memory
holds its text and one concept.

**A day** is the `filed` day of a fact. Which companies to ask, and when a day is published: see
`sec_index`; reports are 10-K, 10-Q, 8-K, 20-F, 40-F and 6-K, with `/A` or `T` behind.

**A revision** is a fact of a later filing for the same period; each stays as it was filed, also if
its company moved away or was delisted since.

**Traps.** A company without XBRL data is a 404. `start` is missing for instants. `fy` and `fp` are
those of the filing, not of the fact. A value may be larger than a float keeps exactly, or text:
`value_exact` has it as it was filed. A later filing repeats facts of earlier ones: with its own
number and day.

**Unconfirmed:** how soon after the index a filing's facts appear (the schedule asks for the last
days again).
"""

from collections.abc import Iterator
from datetime import date

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.sec import Edgar, part
from lake_assets.sources.sec_county import county_filings
from lake_assets.sources.sec_index import Filing
from lake_assets.sources.values import Loosely, json_text

_REPORTS = {"10-K", "10-KT", "10-Q", "10-QT", "8-K", "20-F", "40-F", "6-K"}


class Fact(msgspec.Struct):
    """One value of one concept, for one period, in one filing."""

    end: date
    val: Loosely[int | float | str | None]
    accn: str
    form: Loosely[str | None]
    filed: date
    start: date | None = None
    fy: Loosely[int | None] = None
    fp: Loosely[str | None] = None
    frame: Loosely[str | None] = None


class Concept(msgspec.Struct):
    """What is reported under one name, by unit."""

    units: dict[str, list[Fact]]
    label: Loosely[str | None] = None


class Facts(msgspec.Struct, rename="camel"):
    """Answer of `/api/xbrl/companyfacts/CIK….json`; concepts are kept as text until wanted."""

    entity_name: str
    facts: dict[str, dict[str, msgspec.Raw]]


def collect(ask: Ask) -> Iterator[Row]:
    """Every fact that a company of the county filed on the day."""
    for cik in dict.fromkeys(filing.cik for filing, _ in county_filings(ask, _is_report)):
        path = f"api/xbrl/companyfacts/CIK{cik:010d}.json"
        found = Edgar(ask).large_data(path, Facts)
        for taxonomy, concepts in (found.facts if found else {}).items():
            for name, text in concepts.items():
                concept = part(text, Concept, f"{taxonomy}:{name} of CIK {cik}")
                for unit, facts in concept.units.items():
                    for fact in facts:
                        if found and fact.filed == ask.day:
                            about = {
                                "cik": cik,
                                "entity_name": found.entity_name,
                                "taxonomy": taxonomy,
                                "concept": name,
                                "label": concept.label,
                                "unit": unit,
                            }
                            yield about | _row(fact)


def _is_report(filing: Filing) -> bool:
    return filing.form.removesuffix("/A") in _REPORTS


def _row(fact: Fact) -> dict[str, object]:
    return {
        "value": fact.val,
        "value_exact": None if fact.val is None else _digits(fact.val),
        "period_start": fact.start,
        "period_end": fact.end,
        "is_instant": fact.start is None,
        "fiscal_year": fact.fy,
        "fiscal_period": fact.fp,
        "form_type": fact.form,
        "filed_date": fact.filed,
        "accession_number": fact.accn,
        "frame": fact.frame,
    }


def _digits(value: object) -> str:
    """The value as it was filed: a float of the column `value` keeps 15 to 17 digits of it."""
    return value.strip() if isinstance(value, str) else json_text(value)


COLLECTOR = Collector(upstream=config.SEC, collect=collect, fades=True, check_requests=5)

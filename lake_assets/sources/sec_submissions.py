"""What EDGAR says of a single filing, in the list of its company's filings.

**Pages.** `/submissions/CIK….json` has the newest thousand filings, or those of a year, as columns;
older ones are in further documents, each with its span of days. The one that the day lies in is
read. Each is asked for once per run.

**Traps.** An empty text stands for nothing. `acceptanceDateTime` is New York time for some filers
and says all the same that it is UTC. The header of the filing has New York time: where the two
differ, it counts (`sec_header`).
"""

from collections.abc import Iterator
from datetime import date

import msgspec

from lake_assets.sources.collect import Ask, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.sec import Edgar, part
from lake_assets.sources.sec_header import acceptance
from lake_assets.sources.sec_index import Filing
from lake_assets.sources.values import Loosely


class Columns(msgspec.Struct, rename="camel"):
    """Filings as columns of one length; the newest come first."""

    accession_number: list[str]
    report_date: list[Loosely[str | None]]
    acceptance_date_time: list[Loosely[str | None]]
    items: list[Loosely[str | None]]
    size: list[Loosely[int | None]]
    is_xbrl: list[Loosely[int | None]] = msgspec.field(name="isXBRL")
    is_inline_xbrl: list[Loosely[int | None]] = msgspec.field(name="isInlineXBRL")
    primary_document: list[Loosely[str | None]]
    primary_doc_description: list[Loosely[str | None]]


class Older(msgspec.Struct, rename="camel"):
    """A document with older filings, and the days between which they lie."""

    name: str
    filing_from: date
    filing_to: date


class History(msgspec.Struct):
    """A company's filings; the columns are kept as text until they are wanted."""

    recent: msgspec.Raw
    files: list[Older] = []


class Submissions(msgspec.Struct):
    """End of `/submissions/CIK….json`."""

    filings: History


def described(ask: Ask, filing: Filing) -> Row:
    """The columns that EDGAR fills for a filing; none while it does not list it."""
    for columns in _columns(Edgar(ask), filing):
        if filing.accession in columns.accession_number:
            return _at(ask, columns, columns.accession_number.index(filing.accession), filing)
    return {}


def _columns(edgar: Edgar, filing: Filing) -> Iterator[Columns]:
    found = edgar.data(f"submissions/CIK{filing.cik:010d}.json", Submissions)
    if found is None:
        return
    yield part(found.filings.recent, Columns, f"filings of CIK {filing.cik}")
    for older in found.filings.files:
        if older.filing_from <= filing.filed <= older.filing_to:
            text = edgar.data(f"submissions/{older.name}", msgspec.Raw)
            if text is not None:
                yield part(text, Columns, older.name)


def _at(ask: Ask, columns: Columns, place: int, filing: Filing) -> Row:
    try:
        said = columns.acceptance_date_time[place]
        row = {
            "report_date": columns.report_date[place] or None,
            "items": columns.items[place] or None,
            "primary_document": columns.primary_document[place] or None,
            "primary_doc_description": columns.primary_doc_description[place] or None,
            "size_bytes": columns.size[place],
            "is_xbrl": _flag(columns.is_xbrl[place]),
            "is_inline_xbrl": _flag(columns.is_inline_xbrl[place]),
        }
    except IndexError:
        raise SourceMismatch(f"filings of CIK {filing.cik}: columns of different lengths") from None
    return {**row, **acceptance(ask, filing, said)}


def _flag(said: object) -> object:
    return bool(said) if isinstance(said, int) and said in {0, 1} else said

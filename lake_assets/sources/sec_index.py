"""The filings of a day with the SEC, as the day's index lists them.

**A day** is a filing day in New York. Its index, `master.YYYYMMDD.idx`, appears there after 22:00;
weekends and federal holidays have none, and so no rows.

**Not published yet.** The list of a quarter's indexes tells. A day without an index is empty if it
is a weekend or a later day has one; else it is not published yet while it is young, and a fault
after that. A quarter's list comes with its first index.

**Traps.** A filing by several companies stands in the index once for each, all with one of their
folders. Letters that were held back appear with the old day of their filing.

**Unconfirmed:** that indexes are Latin-1, and that the list names every one of them.
"""

import re
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from lake_assets.sources.answers import TEXT, Answer, AskAgain
from lake_assets.sources.collect import Ask
from lake_assets.sources.errors import NotPublishedYet, SourceMismatch, SourceUnavailable
from lake_assets.sources.sec import PUBLIC_ARCHIVES, Edgar

_NEW_YORK = ZoneInfo("America/New_York")
_LATE_D = 5
_COLUMNS = "CIK|Company Name|Form Type|Date Filed|File"
_INDEX_NAME = re.compile(r"master\.(\d{8})\.idx")


class Filing(msgspec.Struct, frozen=True):
    """One line of a day's index: one filing by one filer."""

    cik: int
    company: str
    form: str
    filed: date
    path: str

    @property
    def accession(self) -> str:
        """The SEC's number of the filing, such as 0001234567-26-000123."""
        return self.path.rpartition("/")[2].removesuffix(".txt")

    @property
    def folder(self) -> str:
        """Where its documents are, below the archives."""
        return f"{self.path.rpartition('/')[0]}/{self.accession.replace('-', '')}"

    @property
    def url(self) -> str:
        """The page of the filing, for people."""
        return f"{PUBLIC_ARCHIVES}/{self.folder}/{self.accession}-index.htm"


class _Item(msgspec.Struct):
    name: str


class _Directory(msgspec.Struct):
    item: list[_Item]


class _Listing(msgspec.Struct):
    directory: _Directory


def filings(ask: Ask) -> Sequence[Filing]:
    """The filings of the day, as its index lists them.

    Raises:
        NotPublishedYet: the day has no index yet.
        SourceUnavailable: it should have one by now.
    """
    day, today = ask.day, ask.now.astimezone(_NEW_YORK).date()
    if day >= today:
        raise NotPublishedYet(f"{day} is not over in New York")
    edgar = Edgar(ask)
    published = _index_days(edgar, day)
    if day in published:
        path = f"{_quarter(day)}/master.{day:%Y%m%d}.idx"
        found = edgar.file(path, kinds=TEXT, parse=_index)
        if found is None:
            raise SourceUnavailable(f"EDGAR lists an index of {day}, but it is not there")
        return found
    if day.weekday() >= 5 or any(later > day for later in published) or _ends_quarter(edgar, day):
        return ()
    if today - day <= timedelta(days=_LATE_D):
        raise NotPublishedYet(f"EDGAR has no index of {day} or of a later day")
    raise SourceUnavailable(f"EDGAR still has no index of {day} or of a later day")


def _index_days(edgar: Edgar, day: date) -> Collection[date]:
    """The days of the quarter around `day` that have an index."""
    listing = edgar.json(f"{_quarter(day)}/index.json", _Listing)
    items = listing.directory.item if listing else ()
    names = [_INDEX_NAME.fullmatch(item.name) for item in items]
    return {date.fromisoformat(name[1]) for name in names if name}


def _ends_quarter(edgar: Edgar, day: date) -> bool:
    """Whether the quarter is over without an index of `day`: the next quarter has begun."""
    soon = day + timedelta(days=_LATE_D)
    return _quarter(soon) != _quarter(day) and bool(_index_days(edgar, soon))


def _quarter(day: date) -> str:
    return f"Archives/edgar/daily-index/{day.year}/QTR{(day.month + 2) // 3}"


def _index(answer: Answer) -> Sequence[Filing]:
    header, _, rows = answer.body.read().decode("latin-1").partition("\n---")
    lines = [line for raw in rows.split("\n")[1:] if (line := raw.strip())]
    if not rows or (lines and not lines[-1].endswith(".txt")):
        raise AskAgain(f"{answer.where}: no whole index came")
    if _COLUMNS not in header:
        raise SourceMismatch(f"{answer.where}: its columns are not {_COLUMNS}…")
    return [_filing(line, answer.where) for line in lines]


def _filing(line: str, where: str) -> Filing:
    try:
        cik, company, form, filed, path = line.split("|")
        return Filing(int(cik), company.strip(), form.strip(), date.fromisoformat(filed), path)
    except ValueError:
        raise SourceMismatch(f"{where}: no line of an index: {line[:80]!r}") from None

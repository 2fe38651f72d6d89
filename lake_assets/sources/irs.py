"""IRS Statistics of Income: tax returns of one county and its ZIP codes, by year and income.

**What.** Per tax year four files: counties and ZIP codes, each by bracket of adjusted gross income
and in total (bracket 0). Their names are regular since 2013.

**Pages.** None; see `irs_files`.

**A day** is the day on which a row was first seen or had changed. A file is asked for only if it is
newer than the `Last-Modified` that the lake has of it, except where an area is new to the lake.

**A revision** is any changed figure: files are issued again under their old name.

**Not published yet.** Files come two to four years after the tax year, ZIP codes later than
counties; until then they are a 404. One of an older year, or that the lake has, was moved instead.

**Traps.** Columns come and go every year; `raw` has all. A suppressed cell is a 0. Brackets of
fewer than 20 returns are merged or left out, so brackets add up to less than the total. ZIP codes
of fewer than 100 returns are not there; the others leave out negative incomes. `N2` counts
exemptions until 2017, people since.

**Unconfirmed:** that the server heeds `If-Modified-Since` (else every run reads every file); the
words of the brackets, and that A00600, A00900 and A01000 are dividends, business and capital gains
(the guide beside the files, `22incydocguide.docx`, tells).
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from lake_assets.sources import config
from lake_assets.sources.answers import CSV, Answer
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import NotPublishedYet, SourceMismatch
from lake_assets.sources.irs_files import COUNTY, ZIP, Geography, rows_of
from lake_assets.sources.values import whole

_REGULAR_SINCE, _SOONEST_Y, _LATEST_Y = 2013, 2, 5
_FILES = {"incyallagi": COUNTY, "incyallnoagi": COUNTY, "zpallagi": ZIP, "zpallnoagi": ZIP}
_MAX_BYTES = 1024**3


def collect(ask: Ask) -> Iterator[Row]:
    """What every file that is out, and is not in the lake as it is, says of the areas."""
    zips = set(config.listed(ask.settings["IRS_ZIP_CODES"]))
    areas = {COUNTY.level: {ask.settings["IRS_COUNTY"][2:]}, ZIP.level: zips}
    columns = ("source_file", "source_last_modified", "county_fips", "zip_code")
    stored = ask.known.values(*columns, other_than=ask.day) if ask.known else set()
    met = {area for _, _, *places in stored for area in places}
    known = {level: wanted <= met for level, wanted in areas.items()}
    first, out = whole(ask.settings["IRS_FIRST_TAX_YEAR"], "IRS_FIRST_TAX_YEAR") or 0, False
    if first < _REGULAR_SINCE:
        raise SourceMismatch(f"IRS_FIRST_TAX_YEAR must be {_REGULAR_SINCE} or later, is {first}")
    for year in range(first, ask.now.year - _SOONEST_Y + 1):
        for stem, geography in _FILES.items():
            file, level = f"{year % 100:02}{stem}.csv", geography.level
            seen = [moment for name, moment, *_ in stored if name == file]
            newest = max((moment for moment in seen if isinstance(moment, datetime)), default=None)
            rows = _file(ask, file, geography, areas[level], newest if known[level] else None)
            if rows is None and (seen or ask.now.year - year >= _LATEST_Y):
                raise SourceMismatch(f"{file} should be out, but is not there (404): was it moved?")
            out = out or rows is not None
            for row in rows or ():
                met |= {row["zip_code"]}
                yield {"tax_year": year, "source_file": file, **row}
    if not out:
        raise NotPublishedYet(f"no file of tax year {first} or later")
    if missing := sorted(zips - met):
        ask.warn(f"no file has ZIP codes {', '.join(missing)}: take them out of IRS_ZIP_CODES")


def _file(
    ask: Ask, file: str, geography: Geography, areas: Collection[str], newest: datetime | None
) -> list[dict[str, object]] | None:
    """What one file says of the areas: nothing if it is no newer than that; None without a file."""

    def parse(answer: Answer) -> list[dict[str, object]]:
        if answer.unchanged:
            return []
        about = {"source_last_modified": _last_modified(answer)}
        found = rows_of(answer, geography, state=ask.settings["IRS_COUNTY"][:2], areas=areas)
        rows = [about | row for row in found]
        if not rows:
            raise SourceMismatch(f"{file} has no {geography.level} of {', '.join(sorted(areas))}")
        return rows

    since = format_datetime(newest.astimezone(UTC), usegmt=True) if newest else ""
    return ask.http.read(
        f"{ask.settings['IRS_BASE_URL']}/pub/irs-soi/{file}",
        kinds=CSV,
        parse=parse,
        headers={"if-modified-since": since} if since else None,
        absent=(404,),
        max_bytes=_MAX_BYTES,
    )


def _last_modified(answer: Answer) -> datetime | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("last-modified", ""))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


COLLECTOR = Collector(
    upstream=config.IRS,
    collect=collect,
    reach_d=0,
    gone="the IRS shows its present files only, which belong to today",
    bookkeeping=("source_file", "source_last_modified"),
    check_requests=1,  # files have up to 200 MB
)

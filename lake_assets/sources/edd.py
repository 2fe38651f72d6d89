"""California EDD's labor statistics, from the tables of the state's open-data portal.

**What.** LAUS: people in and out of work, by residence, for one county. CES: jobs by industry, by
workplace, for its metro area, because CES has no counties. One portal file for LAUS, one per range
of years for CES: their ids are settings.

**Pages.** See `ckan`.

**A day** is the day on which a row was first seen or had changed. A file whose `last_modified` the
lake already knows is not read again. The portal shows its present state only.

**A revision** is any changed figure or status; Preliminary becomes Final, and every March years are
rewritten. Moving a row to another file is none.

**Traps.** Numbers are text or not, by import. Rates come as percent or as a share; the counts
beside them tell which. Areas may end in `**`. Industry codes lose leading zeros. CES begins a new
file every few years, and the known ones then say nothing new for ever: a warning names it.

**Unconfirmed:** that a file has the columns of its table, that `last_modified` changes with every
import, how CES names `Industry Title`, and that the portal lists a new file beside the known ones
(without a list, nothing is told).
"""

from collections.abc import Iterator, Mapping, Sequence

from lake_assets.sources import config
from lake_assets.sources.ckan import Portal
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.edd_cells import month_of, percent_of
from lake_assets.sources.errors import SourceError, SourceMismatch
from lake_assets.sources.values import Cells, kept, text, whole


def collect(ask: Ask) -> Iterator[Row]:
    """The county's rows of every LAUS file, then the metro area's of every CES file."""
    county, metro = ask.settings["EDD_COUNTY"], ask.settings["EDD_METRO_AREA"]
    for program, where in (
        ("LAUS", {"Area Name": [county, f"{county}**"], "Area Type": ["County"]}),
        ("CES", {"Area Name": [metro, f"{metro}**"]}),
    ):
        files = config.listed(ask.settings[f"EDD_{program}_RESOURCES"])
        found = [_file(ask, program, resource_id, where) for resource_id in files]
        if not any(rows is None or rows for rows in found):
            raise SourceMismatch(f"no {program} file has rows of {where['Area Name'][0]}")
        for rows in found:
            yield from rows or ()
    _tell_new_files(ask)


def _tell_new_files(ask: Ask) -> None:
    """CES is split by years: where a new file begins, the known ones just end.

    All rows are there by now, so a list that does not come, or is not one, fails nothing.
    """
    files = config.listed(ask.settings["EDD_CES_RESOURCES"])
    portal = Portal(ask.http, ask.settings["EDD_BASE_URL"], ask.warn)
    try:
        beside = portal.tables_beside(files[-1])
    except SourceError as error:
        ask.warn(f"whether CES has a new file is not known: {error}")
        return
    for resource_id, name in beside.items():
        if resource_id not in files:
            ask.warn(f"CES has a file that EDD_CES_RESOURCES does not name: {resource_id} ({name})")


def _file(
    ask: Ask, program: str, resource_id: str, where: Mapping[str, Sequence[str]]
) -> Sequence[Row] | None:
    """The area's rows of one file, or None if the lake has them as they are."""
    portal = Portal(ask.http, ask.settings["EDD_BASE_URL"], ask.warn)
    modified = portal.last_modified(resource_id)
    columns = ("resource_id", "resource_last_modified")
    stored = ask.known.values(*columns, other_than=ask.day) if ask.known else set()
    if modified and (resource_id, modified) in stored:
        return None
    file = dict(zip(columns, (resource_id, modified), strict=True))
    return [file | _row(program, cells) for cells in portal.rows(resource_id, where)]


def _row(program: str, cells: Cells) -> dict[str, object]:
    period = month_of(cells)
    row: dict[str, object] = {
        "program": program,
        "area_type": text(cells.get("Area Type")),
        "area_name": (text(cells["Area Name"]) or "").rstrip("* "),
        "period_date": period,
        "year": period.year,
        "month": period.month,
        "seasonally_adjusted": text(cells["Seasonally Adjusted (Y/N)"]) == "Y",
        "status": text(cells.get("Status")),
    }
    if program == "CES":
        return row | {
            "series_code": (text(cells["Series Code"]) or "").zfill(8),
            "industry_title": text(cells.get("Industry Title")),
            "industry_employment": kept(whole, cells["Current Employment"], "Current Employment"),
        }
    force, out = (kept(whole, cells[name], name) for name in ("Labor Force", "Unemployment"))
    return row | {
        "labor_force": force,
        "employment": kept(whole, cells["Employment"], "Employment"),
        "unemployment": out,
        "unemployment_rate": percent_of(cells["Unemployment Rate"], force, out),
    }


COLLECTOR = Collector(
    upstream=config.EDD,
    collect=collect,
    reach_d=0,
    gone="the portal shows its present state only, which belongs to today",
    bookkeeping=("resource_id", "resource_last_modified"),
)

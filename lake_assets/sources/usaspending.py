"""Federal awards from USAspending.gov: contracts, grants, loans and other money spent in a county.

**What.** Every award whose work is done in one county, in six groups that can't be asked for
together (`usaspending_awards`). Amounts are totals over the life of the award.

**Pages** of 100 by cursor, sorted by award id, then by USAspending's own number: awards that come
or go meanwhile shift no page. Page numbers end at 50,000 awards, and their `hasNext` already turns
false at 10,000; so page 2 is asked for by cursor. Awards are counted before, and must all come.

**A day** is the day of `Last Modified Date`, from 2007-10-01 on. USAspending shows an award under
the day of its last modification only, so of an older day fewer and fewer. What the lake has stays.

**Not published yet.** Modifications of a day are loaded in the night after it; a day is asked for
once USAspending was updated later than on that day.

**Traps.** Without `date_type` a day means all awards that were running on it. A filter that is not
understood is left out, which only `messages` says. E-mail addresses in descriptions are masked.

**Unconfirmed:** the zone of `Last Modified Date` (taken as UTC), and the limit of requests.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import NotPublishedYet, SourceMismatch, SourceUnavailable
from lake_assets.sources.usaspending_awards import GROUPS, Award, Group, Page, as_row

_PAGE_ROWS = 100


class Updated(msgspec.Struct):
    """Answer of `/awards/last_updated/`: the day of the last load, as `11/22/2026`."""

    last_updated: str


class Counted(msgspec.Struct):
    """Answer of `/search/spending_by_award_count/`: the number of awards by group."""

    results: dict[str, int]
    messages: list[str]


def collect(ask: Ask) -> Iterator[Row]:
    """The awards that were last modified on the day, group by group."""
    _refuse_too_early(ask)
    where = _url(ask, "search/spending_by_award_count")
    found = ask.http.get_json(where, body={"filters": _filters(ask)}, into=Counted)
    _refuse_ignored(found.messages)
    if unknown := {name for name, count in found.results.items() if count} - GROUPS.keys():
        raise SourceMismatch(f"a group of awards is new: {', '.join(sorted(unknown))}")
    for name, group in GROUPS.items():
        counted, came = found.results.get(name, 0), set[str]()
        for award in _awards(ask, group) if counted else ():
            came.add(award.generated_internal_id)
            yield as_row(award, group=name, day=ask.day)
        if len(came) < counted:
            raise SourceUnavailable(f"{name} changed meanwhile: {len(came)} of {counted} came")


def _awards(ask: Ask, group: Group) -> Iterator[Award]:
    cursor: Mapping[str, int | str | None] = {}
    number, there_is_more = 1, True
    while there_is_more:
        page: Page[Award] = ask.http.get_json(
            _url(ask, "search/spending_by_award"),
            body={
                "spending_level": "awards",
                "filters": {**_filters(ask), "award_type_codes": group.codes},
                "fields": group.fields,
                "sort": "Award ID",
                "order": "asc",
                "limit": _PAGE_ROWS,
                "page": number,
                **cursor,
            },
            into=group.page,
        )
        _refuse_ignored(page.messages)
        yield from page.results
        before, cursor = cursor, page.page_metadata.cursor
        number, there_is_more = number + 1, page.page_metadata.has_next
        if there_is_more and (cursor == before or None in cursor.values()):
            raise SourceMismatch(f"page {number - 1} says that there is more, but not where")


def _filters(ask: Ask) -> Mapping[str, object]:
    state, county = ask.settings["USASPENDING_STATE"], ask.settings["USASPENDING_COUNTY"]
    days = {"start_date": f"{ask.day}", "end_date": f"{ask.day}"}
    return {
        "place_of_performance_locations": [{"country": "USA", "state": state, "county": county}],
        "time_period": [days | {"date_type": "last_modified_date"}],
    }


def _refuse_too_early(ask: Ask) -> None:
    said = ask.http.get_json(_url(ask, "awards/last_updated"), into=Updated, remember=True)
    try:
        updated = datetime.strptime(said.last_updated, "%m/%d/%Y").date()  # noqa: DTZ007 - a day
    except ValueError:
        raise SourceMismatch(f"`last_updated` is no day: {said.last_updated[:40]!r}") from None
    if updated <= ask.day:
        raise NotPublishedYet(f"USAspending was last updated on {updated}")


def _refuse_ignored(messages: list[str]) -> None:
    if ignored := [message for message in messages if "were not used" in message]:
        raise SourceMismatch(f"it ignores a filter: {ignored[0][:200]}")


def _url(ask: Ask, path: str) -> str:
    return f"{ask.settings['USASPENDING_BASE_URL']}/api/v2/{path}/"


COLLECTOR = Collector(upstream=config.USASPENDING, collect=collect, fades=True)

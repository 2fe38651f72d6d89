"""The calendar on Luma: every event from a month back to a year ahead, as it stands today.

**What.** One row per event that the calendar manages, and per event of others that is listed on it;
of the latter Luma tells the city only, and no link to the meeting.

**Pages.** `next_cursor` while `has_more`. `after` and `before` are about the start of events.

**A day** is a picture taken on it. Luma tells neither what changed nor what was before.

**Personal data.** Guests are not asked for. Of the hosts only the first one's name is stored, as
`host_name`; `raw` is without hosts, registration answers and passwords; addresses, phone and card
numbers are masked.

**Traps.** Before 2026 an entry was `{"api_id", "event": {…}}` with `api_id` as id; both shapes are
read. Whether the ends of the window belong to it is not said, so it is cut again here.

**Unconfirmed:** the fields `calendar_id`, `created_at`, `status` and `hosts` of list entries.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.luma_event import row_of

_BACK_D, _AHEAD_D = 30, 365
_PAGE_ROWS = 50


class Page(msgspec.Struct):
    """Answer of `/v1/calendars/events/list`."""

    entries: list[dict[str, Any]]
    has_more: bool
    next_cursor: str | None = None


def collect(ask: Ask) -> Iterator[Row]:
    """Every event that starts within the window around the day."""
    first = ask.start - timedelta(days=_BACK_D)
    end = ask.end + timedelta(days=_AHEAD_D)
    calendar = ask.settings["LUMA_CALENDAR_ID"]
    for entry in _entries(ask, first, end, calendar):
        row = row_of(entry, calendar)
        if first <= row["start_at"] < end:
            yield row


def _entries(
    ask: Ask, first: datetime, end: datetime, calendar: str
) -> Iterator[Mapping[str, Any]]:
    key = {"x-luma-api-key": ask.settings["LUMA_API_KEY"]}
    query = [
        ("after", (first - timedelta(seconds=1)).isoformat()),
        ("before", (end + timedelta(seconds=1)).isoformat()),
        ("access", "manage"),
        ("access", "view"),
        ("sort_column", "start_at"),
        ("pagination_limit", _PAGE_ROWS),
    ]
    cursors: list[str] = []
    while True:
        at = [("pagination_cursor", cursors[-1])] if cursors else []
        page = ask.http.get_json(
            f"{ask.settings['LUMA_BASE_URL']}/v1/calendars/events/list?{urlencode([*query, *at])}",
            headers=key | ({"x-luma-calendar-id": calendar} if calendar else {}),
            into=Page,
        )
        yield from page.entries
        if not page.has_more:
            return
        if not page.next_cursor or page.next_cursor in cursors:
            raise SourceMismatch("Luma has more events and does not say where: no new cursor came")
        cursors.append(page.next_cursor)


COLLECTOR = Collector(
    upstream=config.LUMA,
    collect=collect,
    reach_d=0,
    gone="Luma shows its calendar as it stands today only",
)

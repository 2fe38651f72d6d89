"""Visits to the deal room: who of whom looked at how much, one session after the other.

**What.** The export of the deal room's sessions, as JSON over HTTP. Which deal room that is, is not
known yet: this module is the contract that one is put behind, directly or by a small adapter. Its
fields are named as the columns.

**Pages.** `cursor` takes `next_cursor` of the page before, until that is null; `total` says how
many sessions the question has in all.

**A day** is `created_at` in UTC, the moment at which the deal room wrote the session down. Late
rows come within a day, so the schedule asks for two. Any past day can be asked for.

**A revision** overwrites: a session that went on over midnight gets its end with the second asking.

**Traps.** Visitors are people: an address is hashed before a row exists, and where visitors or
organisations are told by an address, a phone number or a link, that is hashed, masked or cut.

**Unconfirmed:** all of it but the columns. Path and page size are settings. Should the sessions
turn out to be a table of the platform database, the declaration becomes an `event`, without this.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceUnavailable
from lake_assets.sources.personal import has_address, hashed, masked_text, page_of
from lake_assets.sources.values import Loosely, whole

Moment = Annotated[datetime, msgspec.Meta(tz=True)]

_ORGANISATION = ("organization", "role")


class Session(msgspec.Struct):
    """One visit."""

    session_id: str
    room_id: str
    started_at: Moment
    created_at: Moment
    deal_id: Loosely[str | None] = None
    visitor_id: str | None = None
    visitor_email: str | None = None
    visitor_email_hash: Loosely[str | None] = None
    organization: str | None = None
    role: str | None = None
    ended_at: Loosely[Moment | None] = None
    duration_s: Loosely[int | None] = None
    documents_viewed: Loosely[int | None] = None
    pages_viewed: Loosely[int | None] = None
    downloads: Loosely[int | None] = None
    questions_asked: Loosely[int | None] = None
    referrer: str | None = None
    country: Loosely[str | None] = None


class Page(msgspec.Struct):
    """A page of the export."""

    sessions: list[Session]
    total: int
    next_cursor: str | None = None


def collect(ask: Ask) -> Iterator[Row]:
    """The sessions that were written down on the day."""
    for session in _sessions(ask):
        if ask.start <= session.created_at < ask.end:
            row = msgspec.structs.asdict(session)
            address, visitor = row.pop("visitor_email"), session.visitor_id
            if address:
                row["visitor_email_hash"] = hashed(address)
            if visitor and has_address(visitor):
                row["visitor_id"] = hashed(visitor)
            for name in _ORGANISATION:
                row[name] = row[name] and masked_text(row[name])
            yield row | {"referrer": session.referrer and page_of(session.referrer)}


def _sessions(ask: Ask) -> Iterator[Session]:
    asked: dict[str, str | int] = {
        "created_from": ask.start.isoformat(),
        "created_to": ask.end.isoformat(),
        "limit": whole(ask.settings["DEALROOM_PAGE_ROWS"], "DEALROOM_PAGE_ROWS") or 0,
    }
    seen: set[str] = set()
    while True:
        page = ask.http.get_json(
            ask.settings["DEALROOM_BASE_URL"] + ask.settings["DEALROOM_SESSIONS_PATH"],
            params=asked,
            headers={"authorization": f"Bearer {ask.settings['DEALROOM_API_TOKEN']}"},
            into=Page,
        )
        yield from page.sessions
        before = len(seen)
        seen.update(session.session_id for session in page.sessions)
        if page.next_cursor and len(seen) > before:
            asked["cursor"] = page.next_cursor
        elif len(seen) < page.total:
            raise SourceUnavailable(f"{len(seen)} of {page.total} sessions came")
        else:
            return


COLLECTOR = Collector(upstream=config.DEALROOM, collect=collect)

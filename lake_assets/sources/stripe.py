"""Stripe's events: everything that happened to payments, invoices, customers and payouts.

**What.** Events of the account and mode (live or test) of the key, not of connected accounts.
**Pages.** Newest first; `starting_after` takes the last id of a page, until `has_more` is false.
The cursor is an event, not a number: events that arrive while pages are read shift nothing.
**A day** is `created` in UTC. Events are kept for 30 days to the second: of the day that is 30 days
back a part is gone. **A revision** overwrites; of an event only `pending_webhooks` changes.
**Traps.** `data.object` has the form of the event's own `api_version`, not of ours. Amounts are in
the minor unit. `request` was a plain id in old versions. 429 says too many requests (100 a second
live, 25 test) or `lock_timeout`; both pass. Objects are full of people: see `stripe_objects`.
A thin event of the API v2 has no object, only its id and kind: see `stripe_event`.
**Unconfirmed:** how late an event may appear; the schedule waits half an hour.
"""

from collections.abc import Iterator

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceUnavailable
from lake_assets.sources.stripe_event import Event


class Page(msgspec.Struct):
    """Answer of `/v1/events`."""

    data: list[Event]
    has_more: bool


def collect(ask: Ask) -> Iterator[Row]:
    """The events that were created on the day."""
    for event in _events(ask):
        if ask.start <= event.at < ask.end:
            yield event.row()


def _events(ask: Ask) -> Iterator[Event]:
    asked: dict[str, str | int] = {
        "created[gte]": int(ask.start.timestamp()),
        "created[lt]": int(ask.end.timestamp()),
        "limit": 100,
    }
    while True:
        page = ask.http.get_json(
            f"{ask.settings['STRIPE_BASE_URL']}/v1/events",
            params=asked,
            headers={"authorization": f"Bearer {ask.settings['STRIPE_API_KEY']}"},
            into=Page,
        )
        yield from page.data
        if not page.has_more:
            return
        if not page.data or page.data[-1].id == asked.get("starting_after"):
            raise SourceUnavailable("the list of events says that it goes on, and does not")
        asked["starting_after"] = page.data[-1].id


COLLECTOR = Collector(
    upstream=config.STRIPE,
    collect=collect,
    reach_d=29,
    gone="Stripe keeps events for 30 days; the last whole day is 29 days back",
)

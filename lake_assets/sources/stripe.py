"""Stripe's events: everything that happened to payments, invoices, customers and payouts.

**What.** Events of the account and mode (live or test) of the key, not of connected accounts.
**Pages.** Newest first; `starting_after` takes the last id of a page, until `has_more` is false.
The cursor is an event, not a number: events that arrive while pages are read shift nothing.
**A day** is `created` in UTC. Events are kept for 30 days to the second: of the day that is 30 days
back a part is gone. **A revision** overwrites; of an event only `pending_webhooks` changes.
**Traps.** `data.object` has the form of the event's own `api_version`, not of ours. Amounts are in
the minor unit. `request` was a plain id in old versions. 429 says too many requests (100 a second
live, 25 test) or `lock_timeout`; both pass. Objects are full of people: see `stripe_objects`.
**Unconfirmed:** how late an event may appear; the schedule waits half an hour.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceUnavailable
from lake_assets.sources.personal import masked_text
from lake_assets.sources.stripe_objects import amount_of, customer_of, stored_of, text_of


class Request(msgspec.Struct):
    """The API call that caused an event."""

    id: str | None = None
    idempotency_key: str | None = None


class Data(msgspec.Struct):
    """The object after the change; on updates, former values too."""

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class Event(msgspec.Struct):
    """One event."""

    id: str
    type: str
    created: int
    livemode: bool
    data: Data
    pending_webhooks: int | None = None
    api_version: str | None = None
    account: str | None = None
    request: Request | str | None = None


class Page(msgspec.Struct):
    """Answer of `/v1/events`."""

    data: list[Event]
    has_more: bool


def collect(ask: Ask) -> Iterator[Row]:
    """The events that were created on the day."""
    for event in _events(ask):
        created = datetime.fromtimestamp(event.created, UTC)
        if ask.start <= created < ask.end:
            yield _row(event) | {"created_at": created}


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


def _row(event: Event) -> dict[str, object]:
    changed, before = event.data.object, event.data.previous_attributes
    by = event.request if isinstance(event.request, Request) else Request(id=event.request)
    return {
        "event_id": event.id,
        "event_type": event.type,
        "api_version": event.api_version,
        "livemode": event.livemode,
        "account": event.account,
        "object_id": text_of(changed, "id"),
        "object_type": text_of(changed, "object"),
        "customer_id": customer_of(changed),
        "amount_minor": amount_of(changed),
        "currency": text_of(changed, "currency"),
        "object_status": text_of(changed, "status"),
        "request_id": by.id,
        "idempotency_key": by.idempotency_key and masked_text(by.idempotency_key),
        "pending_webhooks": event.pending_webhooks,
        "data_object": stored_of(changed),
        "previous_attributes": None if before is None else stored_of(before),
    }


COLLECTOR = Collector(
    upstream=config.STRIPE,
    collect=collect,
    reach_d=29,
    gone="Stripe keeps events for 30 days; the last whole day is 29 days back",
)

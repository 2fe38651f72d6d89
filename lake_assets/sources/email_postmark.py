"""Mail sent through Postmark: its messages, and every event of each.

**Pages.** `count` and `offset` up to `TotalCount`, of at most 10,000 messages per search: one
search per day of sending. A day with more is searched by the hour, an hour with more by the minute,
a minute with more by the second. Then one request per message for its events.

**A day** is the time of the event in UTC. Events of a day belong to messages of that day and of
some days before (a setting); later openings are not found.

**Traps.** Searches count days in US Eastern time, ends included: they are asked for from a day
before, and cut by the events' own times. Messages and events are gone after 45 days, unless the
account has another retention. `details` holds the text of the message: it is not read.

**Unconfirmed:** names of rarer events (one that is not named here is stored as it came, and told),
the zone of searches (a day more is asked for), and that 10,000 are the most that a search shows.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar

import msgspec

from lake_assets.sources.collect import Ask
from lake_assets.sources.email_mapping import MailEvent
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.personal import plain
from lake_assets.sources.values import Loosely, json_text, whole

Shape = TypeVar("Shape")

_PAGE_ROWS = 500
_SEARCH_ROWS = 10_000
_SPANS = (timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))
_TYPES = {
    "Sent": "processed",
    "Delivered": "delivered",
    "Transient": "deferred",
    "Bounced": "bounced",
    "Opened": "opened",
    "LinkClicked": "clicked",
    "SpamComplaint": "complained",
    "SubscriptionChanged": "unsubscribed",
}


class Found(msgspec.Struct):
    """One message of a search."""

    id: str = msgspec.field(name="MessageID")


class Search(msgspec.Struct, rename="pascal"):
    """Answer of `/messages/outbound`."""

    total_count: int
    messages: list[Found]


class Event(msgspec.Struct, rename="pascal"):
    """One event of a message."""

    recipient: str
    type: Loosely[str]
    received_at: datetime
    details: Loosely[dict[str, Any]] = None


class Message(msgspec.Struct, rename="pascal"):
    """Answer of `/messages/outbound/…/details`, without the text."""

    sender: str = msgspec.field(name="From")
    received_at: datetime
    recipients: list[str]
    message_events: list[Event]
    subject: Loosely[str | None] = None
    tag: Loosely[str | None] = None


def events(ask: Ask) -> Iterator[MailEvent]:
    """Every event of the messages that were sent on the day or shortly before."""
    back = whole(ask.settings["EMAIL_LOOKBACK_DAYS"], "EMAIL_LOOKBACK_DAYS") or 0
    sent_on = [ask.day - timedelta(days=days) for days in range(back + 2)]
    for message_id in sorted({found for day in sent_on for found in _sent(ask, day)}):
        message = _ask(ask, f"messages/outbound/{message_id}/details", Message)
        sent = [Event(one, "Sent", message.received_at) for one in message.recipients]
        for event in (*sent, *message.message_events):
            # A subscription that was taken up again is no delivery event.
            if str(_details(event).get("SuppressSending")).lower() != "false":
                yield _event(message_id, message, event)


def _sent(ask: Ask, day: date) -> Iterator[str]:
    """Ids of the messages of a day in US Eastern time."""
    start = datetime.combine(day, time())
    return _found(ask, start, start + timedelta(days=1), _SPANS)


def _found(ask: Ask, start: datetime, end: datetime, smaller: Sequence[timedelta]) -> Iterator[str]:
    """Ids of the messages between two moments, both included; some may come twice.

    Raises:
        SourceMismatch: the shortest span has more messages than a search shows.
        SourceUnavailable: fewer came than the search counts.
    """
    span = {"fromdate": start.isoformat(), "todate": end.isoformat()}
    offset, total = 0, 1
    while offset < total:
        count = min(_PAGE_ROWS, _SEARCH_ROWS - offset)
        page = _ask(ask, "messages/outbound", Search, count=count, offset=offset, **span)
        total = page.total_count
        if total > _SEARCH_ROWS:
            if not smaller:
                raise SourceMismatch(
                    f"{start:%Y-%m-%d %H:%M:%S} has {total:,} messages within a second; Postmark "
                    f"shows {_SEARCH_ROWS:,}"
                )
            step = smaller[0]
            while start < end:
                yield from _found(ask, start, min(start + step, end), smaller[1:])
                start += step
            return
        yield from (found.id for found in page.messages)
        offset += len(page.messages)
        if not page.messages and offset < total:
            raise SourceUnavailable(f"{offset:,} of {total:,} messages of {start.date()} came")


def _ask(ask: Ask, path: str, into: type[Shape], **params: str | int) -> Shape:
    return ask.http.get_json(
        f"{ask.settings['POSTMARK_BASE_URL']}/{path}",
        params=params,
        headers={"x-postmark-server-token": ask.settings["EMAIL_API_KEY"]},
        into=into,
        remember=True,
    )


def _event(message_id: str, message: Message, event: Event) -> MailEvent:
    details = _details(event)
    name = event.type if isinstance(event.type, str) else json_text(event.type)
    said = (message_id, plain(event.recipient), name, event.received_at.isoformat())
    return MailEvent(
        event_id=hashlib.sha256("\n".join(said).encode()).hexdigest()[:32],
        message_id=message_id,
        event_type=_TYPES.get(name, name),
        to=event.recipient,
        sender=message.sender,
        subject=message.subject,
        tag=message.tag,
        occurred_at=event.received_at,
        answer=details.get("DeliveryMessage") or details.get("Summary"),
        url=details.get("Link"),
        metadata={"type": event.type},
    )


def _details(event: Event) -> Mapping[str, Any]:
    return event.details if isinstance(event.details, dict) else {}

"""An event on Luma, as it comes and as the lake keeps it.

Belongs here: fields of an event, and what of it is kept.
Does not belong here: asking for the calendar (`luma`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.personal import masked
from lake_assets.sources.values import Loosely, json_text

_LEFT_OUT = frozenset(
    {"guests", "hosts", "user", "email", "feedback_email", "phone_number", "registration_answers"}
    | {"password", "zoom_password", "zoom_meeting_password"}
)
_AS_GIVEN = (
    *("name", "status", "access", "url", "start_at", "end_at", "timezone", "visibility"),
    *("location_type", "meeting_url", "cover_url", "created_at"),
)


class Place(msgspec.Struct):
    """Where it takes place, as far as Luma tells."""

    city: Loosely[str | None] = None
    region: Loosely[str | None] = None
    country: Loosely[str | None] = None
    full_address: Loosely[str | None] = None


class Host(msgspec.Struct):
    """Who invites."""

    name: Loosely[str | None] = None


class Event(msgspec.Struct):
    """One event."""

    name: Loosely[str]
    start_at: datetime
    id: str | None = None
    api_id: str | None = None
    calendar_id: Loosely[str | None] = None
    platform: Loosely[str | None] = None
    status: Loosely[str | None] = None
    access: Loosely[str | None] = None
    url: Loosely[str | None] = None
    end_at: Loosely[datetime | None] = None
    timezone: Loosely[str | None] = None
    visibility: Loosely[str | None] = None
    location_type: Loosely[str | None] = None
    geo_address_json: Place | None = None
    meeting_url: Loosely[str | None] = None
    cover_url: Loosely[str | None] = None
    created_at: Loosely[datetime | None] = None
    hosts: list[Host] = []


def row_of(entry: Mapping[str, Any], calendar: str) -> dict[str, Any]:
    """The columns of an entry of the list, in either of its shapes.

    Raises:
        SourceMismatch: it is in neither.
    """
    try:
        event = msgspec.convert(entry.get("event", entry), Event)
    except msgspec.ValidationError as error:
        raise SourceMismatch(f"an event is not in the expected shape: {error}") from error
    if not (event_id := event.id or event.api_id):
        raise SourceMismatch(f"the event at {event.start_at} has neither `id` nor `api_id`")
    raw = masked(entry, leave_out=_LEFT_OUT)
    return {name: getattr(event, name) for name in _AS_GIVEN} | {
        "event_id": event_id,
        "calendar_id": event.calendar_id or calendar or None,
        "platform_name": event.platform,
        **msgspec.structs.asdict(event.geo_address_json or Place()),
        "host_name": next((host.name for host in event.hosts), None),
        "raw": json_text(raw),
    }

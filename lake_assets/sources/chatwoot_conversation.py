"""A conversation as Chatwoot tells it, and the row that is stored of it.

Belongs here: the shape of a conversation, and which of its fields are kept.
Does not belong here: fetching (`chatwoot`).

Of the contact nothing but the id is looked at, of messages nothing but the kind. What channels and
people add freely is masked, and of what channels tell only the known harmless part is kept: mail
subjects and copied addresses are in there too.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from lake_assets.sources.personal import masked, page_of
from lake_assets.sources.values import Loosely, json_text

_SAME = ("account_id", "uuid", "inbox_id", "status", "priority", "can_reply", "muted")
_TIMES = ("created_at", "last_activity_at", "waiting_since")
_SEEN = ("agent_last_seen_at", "contact_last_seen_at")
_TOLD = ("browser", "browser_language", "conversation_language", "initiated_at", "source", "type")


class Party(msgspec.Struct):
    """A person or a team."""

    id: Loosely[int | None] = None
    name: Loosely[str | None] = None


class Parties(msgspec.Struct):
    """Who has to do with a conversation, and where it came in."""

    sender: Party | None = None
    assignee: Party | None = None
    team: Party | None = None
    channel: Loosely[str | None] = None


class Message(msgspec.Struct):
    """A message."""

    message_type: Loosely[int]


class Conversation(msgspec.Struct):
    """One conversation. Times are Unix seconds, 0 for none."""

    id: int
    account_id: Loosely[int]
    status: Loosely[str]
    created_at: Loosely[int]
    last_activity_at: int
    meta: Parties
    messages: list[Message]
    uuid: Loosely[str | None] = None
    inbox_id: Loosely[int | None] = None
    priority: Loosely[str | None] = None
    labels: Loosely[list[str]] = []
    can_reply: Loosely[bool | None] = None
    muted: Loosely[bool | None] = None
    unread_count: Loosely[int | None] = None
    first_reply_created_at: Loosely[int | None] = None
    waiting_since: Loosely[int | None] = None
    snoozed_until: Loosely[datetime | int | None] = None
    agent_last_seen_at: Loosely[int | None] = None
    contact_last_seen_at: Loosely[int | None] = None
    additional_attributes: dict[str, Any] | None = None
    custom_attributes: dict[str, Any] | None = None


def row_of(said: Conversation) -> dict[str, object]:
    """The row that is stored of a conversation."""
    parties, nobody = said.meta, Party()
    assignee, team = parties.assignee or nobody, parties.team or nobody
    row: dict[str, object] = {name: getattr(said, name) for name in _SAME}
    row |= {name: moment(getattr(said, name)) for name in (*_TIMES, *_SEEN)}
    return row | {
        "conversation_id": said.id,
        "unread_count": said.unread_count,
        "channel": parties.channel,
        "labels": _json(said.labels or []),
        "assignee_id": assignee.id,
        "assignee_name": assignee.name,
        "team_id": team.id,
        "team_name": team.name,
        "contact_id": (parties.sender or nobody).id,
        "first_reply_at": moment(said.first_reply_created_at),
        "snoozed_until": moment(said.snoozed_until),
        "last_message_type": said.messages[-1].message_type if said.messages else None,
        "additional_attributes": _json(_told(said.additional_attributes or {})),
        "custom_attributes": _json(said.custom_attributes or {}),
    }


def moment(said: object) -> object:
    """A time, however it is told; None for 0. What is none goes on as it came."""
    if not isinstance(said, int) or isinstance(said, bool):
        return said or None
    try:
        return datetime.fromtimestamp(said, UTC) if said else None
    except (ValueError, OverflowError, OSError):
        return f"{said}"


def _told(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    told = {name: attributes[name] for name in _TOLD if name in attributes}
    referer = attributes.get("referer")
    return told | ({"referer": page_of(referer)} if isinstance(referer, str) else {})


def _json(value: object) -> str:
    return json_text(masked(value))

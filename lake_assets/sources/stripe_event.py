"""An event of Stripe's, as it comes and as the lake keeps it.

Belongs here: the fields of an event, in both versions of the API.
Does not belong here: asking for events (`stripe`), what is kept of an object (`stripe_objects`).

An event of the API v1 (a snapshot) holds the object after the change. One of the API v2 (a thin
event) names the object in `related_object`, tells its time as text and its cause in `reason`, and
has the fields of its own kind in `data`, if any.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from lake_assets.sources.collect import Row
from lake_assets.sources.errors import FieldMismatch
from lake_assets.sources.personal import masked_text
from lake_assets.sources.stripe_objects import amount_of, customer_of, stored_of, text_of
from lake_assets.sources.values import Loosely, json_text

_THIN = "v2.core.event"


class Request(msgspec.Struct):
    """The API call that caused an event."""

    id: Loosely[str | None] = None
    idempotency_key: Loosely[str | None] = None


class Reason(msgspec.Struct):
    """What caused a thin event."""

    request: Request | None = None


class Related(msgspec.Struct):
    """The object that a thin event is about."""

    id: Loosely[str | None] = None
    type: Loosely[str | None] = None


class Event(msgspec.Struct):
    """One event; `data` has `object` and `previous_attributes`, unless it is a thin one."""

    id: str
    type: str
    created: int | str
    livemode: bool
    object: str = "event"
    data: dict[str, Any] | None = None
    pending_webhooks: Loosely[int | None] = None
    api_version: Loosely[str | None] = None
    account: Loosely[str | None] = None
    context: Loosely[str | None] = None
    request: Request | str | None = None
    reason: Reason | None = None
    related_object: Related | None = None

    @property
    def is_thin(self) -> bool:
        """Whether it comes without its object."""
        return self.object == _THIN

    @property
    def at(self) -> datetime:
        """When it was created.

        Raises:
            FieldMismatch: `created` is no time.
        """
        try:
            if isinstance(self.created, int):
                return datetime.fromtimestamp(self.created, UTC)
            moment = datetime.fromisoformat(self.created)
        except (ValueError, OverflowError, OSError):
            shown = f"`created` of an event is no time: {str(self.created)[:40]!r}"
            raise FieldMismatch(shown, field="created") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def row(self) -> Row:
        """The columns, without people.

        Raises:
            FieldMismatch: an event that is no thin one has no object.
        """
        data = self.data or {}
        changed, before = data.get("object"), data.get("previous_attributes")
        if not isinstance(changed, dict):
            if not self.is_thin:
                said = f"`data` of event {self.id} is missing required field `object`"
                raise FieldMismatch(said, field="data[].data.object", missing=True)
            changed = {}
        by = self.request if isinstance(self.request, Request) else Request(id=self.request)
        if self.request is None and self.reason and self.reason.request:
            by = self.reason.request
        related = self.related_object or Related()
        stored = changed if changed or not self.is_thin else data
        return {
            "event_id": self.id,
            "event_type": self.type,
            "api_version": self.api_version,
            "livemode": self.livemode,
            "account": self.account or self.context,
            "object_id": text_of(changed, "id") or related.id,
            "object_type": text_of(changed, "object") or related.type,
            "customer_id": customer_of(changed),
            "amount_minor": amount_of(changed),
            "currency": text_of(changed, "currency"),
            "object_status": text_of(changed, "status"),
            "request_id": by.id,
            "idempotency_key": _masked(by.idempotency_key),
            "pending_webhooks": self.pending_webhooks,
            "data_object": stored_of(stored) if stored or not self.is_thin else None,
            "previous_attributes": stored_of(before) if isinstance(before, dict) else None,
            "created_at": self.at,
        }


def _masked(said: object) -> str | None:
    if said is None:
        return None
    return masked_text(said if isinstance(said, str) else json_text(said))

"""A delivery event in the lake's terms, whichever provider it comes from.

Belongs here: the row of an event, and keeping people out of it.
Does not belong here: asking a provider (`email_resend`, `email_postmark`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

import msgspec

from lake_assets.sources.email_addresses import masked, plain, recipient
from lake_assets.sources.errors import SourceMismatch

_NOT_DELIVERED = {"bounced", "deferred", "dropped"}
_STATUS_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailEvent:
    """What happened to one message for one recipient; `answer` is what its mail server said.

    Addresses are as the provider wrote them.
    """

    event_id: str
    message_id: str
    event_type: str
    to: str
    sender: str
    subject: str | None
    occurred_at: datetime
    tag: str | None = None
    answer: str | None = None
    url: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])

    def row(self, provider: str) -> Mapping[str, object]:
        """The columns: the recipient as a hash, addresses in texts masked, links without query."""
        answer = masked(self.answer or "")
        code = _STATUS_CODE.search(answer)
        return {
            "provider": provider,
            "event_id": self.event_id,
            "message_id": self.message_id,
            "event_type": self.event_type,
            **recipient(self.to),
            "from_email": plain(self.sender),
            "subject": masked(self.subject) if self.subject else None,
            "tags": msgspec.json.encode([masked(self.tag)] if self.tag else []).decode(),
            "occurred_at": self.occurred_at,
            "status_code": code[0] if code else None,
            "reason": answer if answer and self.event_type in _NOT_DELIVERED else None,
            "url": _page(self.url) if self.url else None,
            "metadata": msgspec.json.encode(self.metadata).decode(),
        }


def event_type(said: str | None, known: Mapping[str, str]) -> str:
    """The lake's name of what a provider says has happened.

    Raises:
        SourceMismatch: the provider says something that has no name here yet.
    """
    if not said or said not in known:
        raise SourceMismatch(f"the event `{said}` is new: name it in the collector of the provider")
    return known[said]


def _page(url: str) -> str:
    """The link without its query, in which people and their tokens are."""
    parts = urlsplit(url)
    return masked(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")))

"""A delivery event in the lake's terms, whichever provider it comes from.

Belongs here: the row of an event, and keeping people out of it.
Does not belong here: asking a provider (`email_resend`, `email_postmark`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.personal import masked_text, page_of, plain, recipient

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
        """The columns: the recipient as a hash, texts masked, links without query."""
        answer = masked_text(self.answer or "")
        code = _STATUS_CODE.search(answer)
        return {
            "provider": provider,
            "event_id": self.event_id,
            "message_id": self.message_id,
            "event_type": self.event_type,
            **recipient(self.to),
            "from_email": plain(self.sender),
            "subject": masked_text(self.subject) if self.subject else None,
            "tags": msgspec.json.encode([masked_text(self.tag)] if self.tag else []).decode(),
            "occurred_at": self.occurred_at,
            "status_code": code[0] if code else None,
            "reason": answer if answer and self.event_type in _NOT_DELIVERED else None,
            "url": page_of(self.url) if self.url else None,
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

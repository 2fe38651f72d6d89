"""A delivery event in the lake's terms, whichever provider it comes from.

Belongs here: the row of an event, and keeping people out of it.
Does not belong here: asking a provider (`email_resend`, `email_postmark`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lake_assets.sources.personal import masked, masked_text, page_of, plain, recipient
from lake_assets.sources.values import json_text

_NOT_DELIVERED = {"bounced", "deferred", "dropped"}
_STATUS_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailEvent:
    """What happened to one message for one recipient; `answer` is what its mail server said.

    Addresses are as the provider wrote them. So is an `event_type` that has no name here, and what
    is no text in a place for texts.
    """

    event_id: str
    message_id: str
    event_type: str
    to: str
    sender: str
    subject: object
    occurred_at: datetime
    tag: object = None
    answer: object = None
    url: object = None
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])

    def row(self, provider: str) -> Mapping[str, object]:
        """The columns: the recipient as a hash, texts masked, links without query."""
        answer = _masked(self.answer) or ""
        code = _STATUS_CODE.search(answer)
        return {
            "provider": provider,
            "event_id": self.event_id,
            "message_id": self.message_id,
            "event_type": self.event_type,
            **recipient(self.to),
            "from_email": plain(self.sender),
            "subject": _masked(self.subject),
            "tags": json_text([_masked(self.tag)] if self.tag else []),
            "occurred_at": self.occurred_at,
            "status_code": code[0] if code else None,
            "reason": answer if answer and self.event_type in _NOT_DELIVERED else None,
            "url": page_of(self.url) if isinstance(self.url, str) and self.url else None,
            "metadata": json_text(masked(self.metadata)),
        }


def _masked(said: object) -> str | None:
    if said is None or said == "":
        return None
    return masked_text(said if isinstance(said, str) else json_text(masked(said)))

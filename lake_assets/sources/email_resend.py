"""Mail sent through Resend: its list of messages, each with the last that happened to it.

**Pages.** Newest first; the id of the last message of a page is the `after` of the next, while
`has_more`. There is no filter by date: the list is walked back to the first day of the run.

**A day** is `created_at` of the message in UTC, for Resend does not tell when its last event was.
There is one row per message and recipient, and it changes with each event: days are written again.

**Traps.** `created_at` comes as `2026-11-21T10:00:00+00:00` and as `2026-11-21 10:00:00+00`. The
last event of a message to several people is that of any of them. At most 2 requests a second.

**Unconfirmed:** how long messages stay in the list; where it ends within a run's days, it is told.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from lake_assets.sources.collect import Ask
from lake_assets.sources.email_mapping import MailEvent
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.personal import plain, recipient
from lake_assets.sources.values import Loosely, json_text

_PAGE_ROWS = 100
_TYPES = {
    **dict.fromkeys(("queued", "scheduled", "sent"), "processed"),
    **dict.fromkeys(("failed", "canceled", "suppressed"), "dropped"),
    **{name: name for name in ("delivered", "bounced", "opened", "clicked", "complained")},
    "delivery_delayed": "deferred",
}


class Email(msgspec.Struct):
    """One message."""

    id: str
    to: list[str] | str
    sender: str = msgspec.field(name="from")
    created_at: str
    last_event: Loosely[str | None]
    subject: Loosely[str | None] = None
    cc: list[str] | str | None = None
    bcc: list[str] | str | None = None

    @property
    def at(self) -> datetime:
        """When it was made.

        Raises:
            SourceMismatch: `created_at` is no time.
        """
        try:
            moment = datetime.fromisoformat(self.created_at)
        except ValueError:
            raise SourceMismatch(f"`created_at` is no time: {self.created_at[:40]!r}") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Page(msgspec.Struct):
    """Answer of `/emails`."""

    data: list[Email]
    has_more: bool


def events(ask: Ask) -> Iterator[MailEvent]:
    """The last event of every message, back to the first day of the run."""
    first = min(ask.days)
    after: dict[str, str] = {}
    while True:
        page = ask.http.get_json(
            f"{ask.settings['RESEND_BASE_URL']}/emails",
            params={"limit": _PAGE_ROWS, **after},
            headers={"authorization": f"Bearer {ask.settings['EMAIL_API_KEY']}"},
            into=Page,
            remember=True,
        )
        for email in page.data:
            yield from _of(email)
        last = page.data[-1] if page.data else None
        if last and last.at.astimezone(UTC).date() < first:
            return
        if not page.has_more:
            if last and ask.day == first:
                ask.warn(f"Resend has no message from before {last.at:%Y-%m-%d %H:%M} UTC any more")
            return
        if not last or after.get("after") == last.id:
            raise SourceMismatch("Resend has more messages and gives none")
        after = {"after": last.id}


def _of(email: Email) -> Iterator[MailEvent]:
    lists = [[said] if isinstance(said, str) else said for said in (email.to, email.cc, email.bcc)]
    everyone = {plain(one) for said in lists for one in said or () if one}
    said = email.last_event if isinstance(email.last_event, str) else json_text(email.last_event)
    for address in sorted(everyone):
        yield MailEvent(
            event_id=f"{email.id}:{recipient(address)['recipient_hash'][:16]}",
            message_id=email.id,
            event_type=_TYPES.get(said, said),
            to=address,
            sender=email.sender,
            subject=email.subject,
            occurred_at=email.at,
            metadata={"last_event": email.last_event, "recipients": len(everyone)},
        )

"""Providers of e-mail: Resend's list of messages, and Postmark's searches and events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

RESEND_KEY = "re_0123456789abcdef"
POSTMARK_TOKEN = "0123abcd-0000-4000-8000-0123456789ab"
SENDER = "Lake <hello@lake.example>"
EASTERN = ZoneInfo("America/New_York")


def at(day: date, hour: int = 12, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), tzinfo=UTC)


@dataclass(kw_only=True)
class Email:
    """A message of Resend's, and the last that happened to it."""

    id: str
    at: datetime
    last_event: str = "delivered"
    to: list[str] = field(default_factory=lambda: ["Ann <Ann@Example.com>"])
    cc: list[str] | None = None
    subject: str = "Welcome"


class FakeResend(Fake):
    """`emails` are all messages; `most` is the most that a page has."""

    name = "resend"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.most = 100
        noon = at(today - timedelta(days=1))
        self.emails = [
            Email(id="e1", at=noon - timedelta(days=2)),
            Email(id="e2", at=noon, last_event="opened", subject="For ann@example.com"),
            Email(
                id="e3",
                at=noon + timedelta(hours=1),
                last_event="bounced",
                to=["bo@example.org"],
                cc=["cy@example.net", "bo@example.org"],
            ),
            Email(id="e4", at=noon + timedelta(days=1), last_event="sent"),
        ]

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "EMAIL_PROVIDER": "resend",
            "EMAIL_API_KEY": RESEND_KEY,
            "RESEND_BASE_URL": self.url,
            "EMAIL_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {RESEND_KEY}":
            return as_json({"name": "invalid_api_Key", "message": "API key is invalid"}, status=401)
        if request.path != "/emails":
            return as_json({"name": "not_found", "message": "Not found"}, status=404)
        limit = min(int(request.query.get("limit", 20)), self.most)
        ordered = sorted(self.emails, key=lambda email: email.at, reverse=True)
        after = request.query.get("after")
        start = [email.id for email in ordered].index(after) + 1 if after else 0
        page = ordered[start : start + limit]
        more = start + limit < len(ordered)
        return as_json(
            {"object": "list", "has_more": more, "data": [self._email(email) for email in page]}
        )

    def _email(self, email: Email) -> dict[str, object]:
        return {
            "id": email.id,
            "message_id": f"<{email.id}@email.example.com>",
            "to": email.to,
            "from": SENDER,
            "created_at": f"{email.at:%Y-%m-%d %H:%M:%S.%f}+00",
            "subject": email.subject,
            "bcc": None,
            "cc": email.cc,
            "reply_to": ["dee@example.com"],
            "last_event": email.last_event,
            "scheduled_at": None,
        }


@dataclass(kw_only=True)
class Message:
    """A message of Postmark's, and what happened to it: (type, when, details)."""

    id: str
    at: datetime
    events: list[tuple[str, datetime, dict[str, str]]] = field(default_factory=list)
    to: str = "Ann@Example.com"


class FakePostmark(Fake):
    """`messages` are all that were sent; `most` is the most that a page has.

    `shows` is the most messages of a search that can be paged through, as on the real server.
    """

    name = "postmark"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.most = 500
        self.shows = 10_000
        self.total: int | None = None
        noon = at(today - timedelta(days=1))
        bounce = "smtp;550 5.1.1 <bo@example.org> does not exist"
        link = "https://lake.example/reset?token=s3cr3t&mail=ann%40example.com#top"
        self.messages = [
            Message(
                id="m1",
                at=noon - timedelta(days=2),
                events=[
                    ("Delivered", noon - timedelta(days=2), {"DeliveryMessage": "smtp;250 2.0.0"}),
                    ("Opened", noon, {"Summary": "Email opened with Mail"}),
                    ("LinkClicked", noon + timedelta(minutes=1), {"Link": link}),
                ],
            ),
            Message(
                id="m2",
                at=noon,
                to="bo@example.org",
                events=[
                    (
                        "Transient",
                        noon + timedelta(seconds=5),
                        {"DeliveryMessage": "421 4.7.0 busy"},
                    ),
                    ("Bounced", noon + timedelta(seconds=9), {"Summary": bounce, "BounceID": "7"}),
                    ("SubscriptionChanged", noon + timedelta(hours=1), {"SuppressSending": "True"}),
                    (
                        "SubscriptionChanged",
                        noon + timedelta(hours=2),
                        {"SuppressSending": "False"},
                    ),
                ],
            ),
        ]

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "EMAIL_PROVIDER": "postmark",
            "EMAIL_API_KEY": POSTMARK_TOKEN,
            "POSTMARK_BASE_URL": self.url,
            "EMAIL_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("x-postmark-server-token") != POSTMARK_TOKEN:
            return as_json({"ErrorCode": 10, "Message": "Bad or missing API token"}, status=401)
        parts = request.path.strip("/").split("/")
        if parts == ["messages", "outbound"]:
            return self._search(request.query)
        found = [message for message in self.messages if parts[2:] == [message.id, "details"]]
        if not found:
            return as_json({"ErrorCode": 701, "Message": "Message not found"}, status=422)
        return as_json(self._details(found[0]))

    def _search(self, query: Mapping[str, str]) -> Reply:
        first, last = (
            datetime.fromisoformat(query[name]).replace(tzinfo=EASTERN)
            for name in ("fromdate", "todate")
        )
        count, offset = min(int(query["count"]), self.most), int(query["offset"])
        if int(query["count"]) + offset > self.shows:
            return as_json({"ErrorCode": 700, "Message": "count + offset is too large"}, status=422)
        shown = [message for message in self.messages if first <= message.at <= last]
        shown.sort(key=lambda message: message.at, reverse=True)
        page = [self._summary(message) for message in shown[offset : offset + count]]
        total = len(shown) if self.total is None else self.total
        return as_json({"TotalCount": total, "Messages": page})

    def _summary(self, message: Message) -> dict[str, Any]:
        return {
            "Tag": "welcome",
            "MessageID": message.id,
            "To": [{"Email": message.to, "Name": "Ann"}],
            "Cc": [],
            "Bcc": [],
            "Recipients": [message.to],
            "ReceivedAt": self._written(message.at),
            "From": SENDER,
            "Subject": "Welcome",
            "Attachments": [],
            "Status": "Sent",
            "MessageStream": "outbound",
        }

    def _details(self, message: Message) -> dict[str, Any]:
        return self._summary(message) | {
            "TextBody": "Dear Ann, your password is 1234",
            "HtmlBody": "<p>Dear Ann</p>",
            "Body": "SMTP dump of ann@example.com",
            "MessageEvents": [
                {
                    "Recipient": message.to,
                    "Type": kind,
                    "ReceivedAt": self._written(when),
                    "Details": details,
                }
                for kind, when, details in message.events
            ],
        }

    @staticmethod
    def _written(moment: datetime) -> str:
        """In US Eastern time, with seven digits of a second."""
        eastern = moment.astimezone(EASTERN)
        offset = eastern.strftime("%z")
        return f"{eastern:%Y-%m-%dT%H:%M:%S.%f}0{offset[:3]}:{offset[3:]}"

"""A Chatwoot installation as the collector sees it: conversations by last activity, in pages."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

TOKEN = "fakeChatwootToken7Yw"
ACCOUNT = 7


def at(day: date, clock: str) -> int:
    """Unix seconds of a moment in UTC."""
    return int(datetime.combine(day, time.fromisoformat(clock), UTC).timestamp())


def conversation(number: int, active: int, **more: object) -> dict[str, object]:
    """A conversation as Chatwoot tells it, with everything that must not be stored."""
    message = {
        "id": 9_000 + number,
        "content": "My card is 4242 4242 4242 4242, please write to ann.visitor@example.com",
        "account_id": ACCOUNT,
        "inbox_id": 3,
        "conversation_id": number,
        "message_type": 0,
        "created_at": active,
        "private": False,
        "status": "sent",
        "sender": {"id": 70, "name": "Ann Visitor", "email": "ann.visitor@example.com"},
    }
    return {
        "meta": {
            "sender": {
                "additional_attributes": {"city": "San Jose"},
                "availability_status": "offline",
                "email": "ann.visitor@example.com",
                "id": 70,
                "name": "Ann Visitor",
                "phone_number": "+14085550142",
                "identifier": "ann.visitor@example.com",
                "thumbnail": "",
            },
            "channel": "Channel::WebWidget",
            "assignee": {"id": 2, "name": "Bo Agent", "email": "bo@lake.example", "role": "agent"},
            "team": {"id": 1, "name": "support", "description": "First line"},
            "hmac_verified": False,
        },
        "id": number,
        "messages": [message],
        "account_id": ACCOUNT,
        "uuid": f"7b2e4c1a-0000-4000-8000-{number:012x}",
        "additional_attributes": {
            "browser": {"browser_name": "Firefox", "platform_name": "macOS"},
            "browser_language": "en",
            "referer": "https://lake.example/pricing?email=ann.visitor%40example.com#top",
            "initiated_at": {"timestamp": "Sat Nov 21 2026 10:00:00 GMT+0100"},
            "mail_subject": "Re: refund for Ann Visitor",
            "cc_email": "cc@example.com",
        },
        "agent_last_seen_at": active - 60,
        "assignee_last_seen_at": 0,
        "can_reply": True,
        "contact_last_seen_at": 0,
        "custom_attributes": {
            "plan": "pro",
            "call": "+1 (408) 555-0142 or ann.visitor@example.com",
        },
        "inbox_id": 3,
        "labels": ["billing"],
        "muted": False,
        "snoozed_until": None,
        "status": "open",
        "created_at": active - 3_600,
        "updated_at": active + 0.25,
        "timestamp": active,
        "first_reply_created_at": active - 1_800,
        "unread_count": 1,
        "last_non_activity_message": message,
        "last_activity_at": active,
        "priority": None,
        "waiting_since": 0,
        "sla_policy_id": None,
    } | more


class FakeChatwoot(Fake):
    """`conversations` in any order; `page_rows` per page."""

    name = "chatwoot"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.page_rows = 25
        self.conversations: list[dict[str, object]] = []
        for back in range(41):
            day, number = today - timedelta(days=back), 1_000 - 10 * back
            self.conversations += [
                conversation(number, at(day, "00:00:00"), status="resolved", priority="high"),
                conversation(
                    number + 1,
                    at(day, "11:30:00"),
                    status="snoozed",
                    snoozed_until=f"{day + timedelta(days=3)}T09:00:00.000Z",
                ),
                conversation(number + 2, at(day, "23:59:59"), waiting_since=at(day, "23:59:00")),
            ]

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "CHATWOOT_BASE_URL": self.url,
            "CHATWOOT_ACCOUNT_ID": f"{ACCOUNT}",
            "CHATWOOT_API_TOKEN": TOKEN,
            "CHATWOOT_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("api_access_token") != TOKEN:
            return as_json({"errors": ["You need to sign in or sign up."]}, status=401)
        if request.path != f"/api/v1/accounts/{ACCOUNT}/conversations":
            return as_json({"error": "Resource could not be found"}, status=404)
        status, page = request.query.get("status", "open"), int(request.query.get("page", 1))
        listed = [each for each in self.conversations if status in {"all", each["status"]}]
        listed.sort(key=lambda each: (each["last_activity_at"], each["id"]), reverse=True)
        counts = {"mine_count": 0, "assigned_count": len(listed), "unassigned_count": 0}
        start = (page - 1) * self.page_rows
        return as_json(
            {
                "data": {
                    "meta": counts | {"all_count": len(listed)},
                    "payload": listed[start : start + self.page_rows],
                }
            }
        )

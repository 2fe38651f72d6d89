"""A Slack workspace: channels, and their messages as `conversations.history` shows them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

TOKEN = "xoxb-0123456789-abcdef"
TEAM = "T1"
LIST_MOST = 1000
HISTORY_MOST = 999

Message = dict[str, Any]


def at(day: date, hour: int = 12, minute: int = 0, micros: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, 0, micros), tzinfo=UTC)


def ts(moment: datetime) -> str:
    """A moment as Slack writes it: seconds, and six digits that are part of the message's id."""
    return f"{int(moment.timestamp())}.{moment.microsecond:06}"


def message(when: datetime, user: str = "U1", **more: Any) -> Message:
    text = "Call me at ann@example.com"
    return {"type": "message", "user": user, "ts": ts(when), "text": text, "team": TEAM} | more


def channel(channel_id: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": channel_id,
        "name": name,
        "is_channel": True,
        "is_private": False,
        "is_archived": False,
        "is_member": True,
        "created": 1_700_000_000,
        "creator": "U1",
        "num_members": 42,
        "topic": {"value": "Ask bo@example.com", "creator": "U1", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "context_team_id": TEAM,
    } | more


class FakeSlack(Fake):
    """`history` has the messages by channel; `hidden_before` is where a free plan ends."""

    name = "slack"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        noon = at(today - timedelta(days=1))
        self.hidden_before: datetime | None = None
        self.refusals: dict[str, str] = {}
        self.channels = [
            channel("C1", "general"),
            channel("C2", "quiet", num_members=3),
            channel("C3", "secret", is_private=True, num_members=2),
            channel("C4", "others", is_member=False),
            channel("C5", "old", is_archived=True, num_members=0),
        ]
        parent = ts(noon + timedelta(minutes=1))
        self.history: dict[str, list[Message]] = {
            "C1": [
                message(noon, reactions=[{"name": "+1", "count": 2, "users": ["U2", "U3"]}]),
                message(
                    noon + timedelta(minutes=1),
                    "U2",
                    thread_ts=parent,
                    reply_count=3,
                    reply_users_count=2,
                    latest_reply=ts(noon + timedelta(hours=1)),
                    reactions=[
                        {"name": "eyes", "count": 1, "users": ["U1"]},
                        {"name": "tada", "count": 4, "users": ["U1", "U3", "U4", "U5"]},
                    ],
                ),
                message(
                    noon + timedelta(minutes=2), subtype="file_share", files=[{"id": "F1"}] * 2
                ),
                message(noon + timedelta(minutes=3), "U9", subtype="channel_join"),
                message(
                    noon + timedelta(minutes=4), "U3", subtype="thread_broadcast", thread_ts=parent
                ),
                message(noon + timedelta(minutes=5), "U8", bot_id="B1", app_id="A1"),
                message(
                    noon + timedelta(minutes=6), subtype="bot_message", bot_id="B2", username="ci"
                ),
            ],
            "C2": [],
            "C3": [message(noon + timedelta(hours=2), "U4")],
            "C5": [],
        }

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "SLACK_BASE_URL": self.url,
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._no("invalid_auth")
        match request.path:
            case "/api/auth.test":
                return as_json({"ok": True, "team": "Lake", "team_id": TEAM, "user_id": "U8"})
            case "/api/conversations.list":
                return self._list(request.query)
            case "/api/conversations.history":
                return self._history(request.query)
        return self._no("unknown_method")

    def _no(self, error: str, **more: str) -> Reply:
        return as_json({"ok": False, "error": error, **more})

    def _list(self, query: Mapping[str, str]) -> Reply:
        types = query["types"].split(",")
        shown = [
            each
            for each in self.channels
            if ("private_channel" if each["is_private"] else "public_channel") in types
            and not (query.get("exclude_archived") == "true" and each["is_archived"])
        ]
        return self._page("channels", shown, query, LIST_MOST)

    def _history(self, query: Mapping[str, str]) -> Reply:
        channel_id = query["channel"]
        if error := self.refusals.get(channel_id):
            return self._no(error)
        if channel_id not in self.history:
            return self._no("not_in_channel")
        floor = ts(self.hidden_before) if self.hidden_before else "0"
        shown = [
            each
            for each in sorted(self.history[channel_id], key=lambda each: each["ts"], reverse=True)
            if query["oldest"] < each["ts"] < query["latest"] and each["ts"] >= floor
        ]
        limited = {"is_limited": True} if query["oldest"] < floor else {}
        return self._page("messages", shown, query, HISTORY_MOST, **limited)

    def _page(
        self, name: str, items: Sequence[object], query: Mapping[str, str], most: int, **more: bool
    ) -> Reply:
        start = int(query.get("cursor") or 0)
        end = start + min(int(query.get("limit", 100)), most)
        following = f"{end}" if end < len(items) else ""
        return as_json(
            {
                "ok": True,
                name: items[start:end],
                "has_more": bool(following),
                "response_metadata": {"next_cursor": following},
                **more,
            }
        )

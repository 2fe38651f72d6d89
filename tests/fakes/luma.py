"""A calendar on Luma: flat entries with cursors, as its API answers since 2026."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

KEY = "luma-0123456789abcdef"
CALENDAR = "cal-lake"

Entry = dict[str, Any]


def at(day: date, hour: int = 2, minute: int = 0, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), tzinfo=UTC)


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def event(event_id: str, start: datetime, **more: Any) -> Entry:
    return {
        "platform": "luma",
        "id": event_id,
        "name": f"Event {event_id}",
        "start_at": written(start),
        "end_at": written(start + timedelta(hours=3)),
        "timezone": "America/Los_Angeles",
        "url": f"https://luma.com/{event_id}",
        "visibility": "public",
        "access": "manage",
        "location_type": "offline",
        "geo_address_json": {
            "type": "google",
            "city": "San Jose",
            "region": "California",
            "country": "United States",
            "full_address": "1 Main St, San Jose, California, United States",
        },
        "cover_url": "https://images.lumacdn.com/cover.png",
        "created_at": "2026-09-01T10:00:00.000Z",
        "hosts": [{"id": "usr-1", "name": "Ann", "email": "ann@example.com"}],
        "feedback_email": "bo@example.com",
        "description_md": "Write to ann+events@example.com",
        "zoom_password": "1234",
    } | more


class FakeLuma(Fake):
    """`events` are those of the calendar; `most` is the most entries that a page has."""

    name = "luma"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.most = 50
        self.key = KEY
        self.calendar = ""
        self._target = ""
        online = {
            "location_type": "zoom",
            "geo_address_json": None,
            "meeting_url": "https://zoom.us/j/1",
            "calendar_id": CALENDAR,
            "status": "approved",
        }
        listed = {"access": "view", "hosts": [], "geo_address_json": {"city": "San Jose"}}
        self.events = [
            event("evt-past", at(today - timedelta(days=20))),
            event("evt-online", at(today + timedelta(days=2)), **online),
            event("evt-listed", at(today + timedelta(days=9)), **listed),
        ]

    @property
    def env(self) -> Mapping[str, str]:
        return {"LUMA_BASE_URL": self.url, "LUMA_API_KEY": KEY, "LUMA_REQUESTS_PER_S": "1000"}

    def answer(self, request: Request) -> Reply:
        if request.headers.get("x-luma-api-key") != self.key:
            return as_json({"message": "Invalid API key"}, status=401)
        if request.headers.get("x-luma-calendar-id", "") != self.calendar:
            return as_json({"message": "Which calendar?"}, status=400)
        if request.path != "/v1/calendars/events/list":
            return as_json({"message": "Not found"}, status=404)
        return self._list(parse_qs(urlsplit(self._target).query))

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        self._target = handler.path  # `Request.query` has one value per name; `access` has two
        super()._serve(handler)

    def _list(self, query: Mapping[str, list[str]]) -> Reply:
        after, before = (datetime.fromisoformat(query[name][0]) for name in ("after", "before"))
        shown = [
            entry
            for entry in self.events
            if after <= datetime.fromisoformat(str(entry["start_at"])) <= before
            and entry["access"] in query.get("access", ["manage"])
        ]
        shown.sort(key=lambda entry: str(entry["start_at"]))
        start = int(query.get("pagination_cursor", ["0"])[0])
        end = start + min(int(query.get("pagination_limit", ["50"])[0]), self.most)
        more = end < len(shown)
        return as_json(
            {"entries": shown[start:end], "has_more": more}
            | ({"next_cursor": f"{end}"} if more else {})
        )

"""A deal room's export of sessions, as the collector wants one."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

TOKEN = "fakeDealroomToken9Kd"


def session(day: date, clock: str, number: int = 1, **more: object) -> dict[str, object]:
    """A session that was written down at a moment of a day, in UTC."""
    created = datetime.combine(day, time.fromisoformat(clock), UTC)
    return {
        "session_id": f"ses_{created:%Y%m%d%H%M%S}_{number}",
        "room_id": "room_series_a",
        "deal_id": "deal_17",
        "visitor_id": "vis_42",
        "visitor_email": " Ann.Visitor@Example.com",
        "visitor_name": "Ann Visitor",
        "organization": "North Fund (ann.visitor@example.com)",
        "role": "investor",
        "started_at": (created - timedelta(minutes=30)).isoformat(),
        "ended_at": (created - timedelta(seconds=5)).isoformat(),
        "duration_s": 1_795,
        "documents_viewed": 4,
        "pages_viewed": 31,
        "downloads": 1,
        "questions_asked": 0,
        "referrer": "https://mail.example/inbox?for=ann.visitor%40example.com",
        "country": "US",
        "created_at": created.isoformat(),
    } | more


class FakeDealroom(Fake):
    """`sessions` in any order; `page_rows` is the most that an answer has."""

    name = "dealroom"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.page_rows = 500
        self.sessions: list[dict[str, object]] = []
        for back in range(41):
            day = today - timedelta(days=back)
            self.sessions += [
                session(day, "00:00:00"),
                session(day, "10:15:00", ended_at=None, duration_s=None),
                session(day, "23:59:59.900000"),
            ]

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "DEALROOM_BASE_URL": self.url,
            "DEALROOM_API_TOKEN": TOKEN,
            "DEALROOM_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return as_json({"error": "unauthorized"}, status=401)
        if request.path != "/api/v1/sessions":
            return as_json({"error": "not found"}, status=404)
        query = request.query
        first, end = (datetime.fromisoformat(query[f"created_{name}"]) for name in ("from", "to"))
        listed = [
            each
            for each in sorted(self.sessions, key=lambda each: str(each["created_at"]))
            if first <= datetime.fromisoformat(str(each["created_at"])) < end
        ]
        start = int(query.get("cursor", 0))
        stop = start + min(int(query["limit"]), self.page_rows)
        return as_json(
            {
                "sessions": listed[start:stop],
                "total": len(listed),
                "next_cursor": f"{stop}" if stop < len(listed) else None,
            }
        )

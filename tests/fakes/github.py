"""GitHub's feeds of repository events, as they are since 2025: at most 300 events and 30 days."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

TOKEN = "ghp_0123456789abcdefghij"
KEEPS_D = 30
ACTOR = {
    "id": 7,
    "login": "octo",
    "display_login": "octo",
    "gravatar_id": "",
    "url": "https://api.github.com/users/octo",
    "avatar_url": "https://avatars.githubusercontent.com/u/7?",
}


@dataclass(kw_only=True)
class Event:
    """One event of a feed; `visible` is false for one that GitHub hides, which leaves a gap."""

    id: str
    at: datetime
    type: str = "WatchEvent"
    payload: dict[str, Any] = field(default_factory=lambda: {"action": "started"})
    visible: bool = True


def at(day: date, hour: int = 12, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=UTC)


def push(number: int, when: datetime) -> Event:
    return Event(
        id=f"{number}",
        at=when,
        type="PushEvent",
        payload={
            "repository_id": 2,
            "push_id": number,
            "ref": "refs/heads/main",
            "head": "a" * 40,
            "before": "b" * 40,
            "commits": [{"author": {"name": "Ann", "email": "ann@example.com"}, "message": "Fix"}],
        },
    )


def pull_request(number: int, when: datetime) -> Event:
    return Event(
        id=f"{number}",
        at=when,
        type="PullRequestEvent",
        payload={
            "action": "opened",
            "number": 12,
            "pull_request": {
                "id": 99,
                "number": 12,
                "url": "https://api.github.com/repos/org/lake/pulls/12",
                "head": {"ref": "fix", "sha": "c" * 40},
                "base": {"ref": "main", "sha": "d" * 40},
            },
        },
    )


def comment(number: int, when: datetime) -> Event:
    return Event(
        id=f"{number}",
        at=when,
        type="IssueCommentEvent",
        payload={
            "action": "created",
            "issue": {"number": 5, "title": "Mail to bo@example.com bounces", "body": "Call me"},
            "comment": {"id": 1, "body": "I am ann@example.com", "user": {"login": "octo"}},
        },
    )


class FakeGithub(Fake):
    """`feeds` has the events of each repository; `page_rows` is the most that a page holds.

    `renamed` has the new name of an old one; `numbers` the number that the old one redirects to.
    """

    name = "github"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.page_rows = 100
        self.limit = 300
        self.renamed: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        noon = at(today - timedelta(days=1))
        self.feeds: dict[str, list[Event]] = {
            "org/lake": [
                push(1001, noon - timedelta(days=1)),
                push(1002, noon),
                pull_request(1003, noon + timedelta(hours=1)),
                comment(1004, noon + timedelta(hours=2)),
                Event(id="1005", at=noon + timedelta(days=1)),
            ],
            "org/docs": [Event(id="2001", at=noon)],
        }

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "GITHUB_BASE_URL": self.url,
            "GITHUB_TOKEN": TOKEN,
            "GITHUB_REPOS": ",".join(self.feeds),
            "GITHUB_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return as_json({"message": "Bad credentials", "status": "401"}, status=401)
        parts = request.path.strip("/").split("/")
        repo = "/".join(parts[1:3])
        if repo in self.renamed:
            location = f"{self.url}/repositories/{self.numbers[repo]}/events?per_page=100"
            moved = {"message": "Moved Permanently", "url": location}
            return as_json(moved, status=301, location=location)
        if parts[:1] == ["repositories"] and parts[2:] == ["events"]:
            numbers = {str(number): name for name, number in self.numbers.items()}
            old = numbers.get(parts[1], "")
            return self._page(self.renamed[old], request)
        if parts[:1] != ["repos"] or parts[3:] != ["events"] or repo not in self.feeds:
            return as_json({"message": "Not Found", "status": "404"}, status=404)
        return self._page(repo, request)

    def _page(self, repo: str, request: Request) -> Reply:
        rows = min(int(request.query.get("per_page", 30)), self.page_rows)
        page = int(request.query.get("page", 1))
        if (page - 1) * rows >= self.limit:
            message = "In order to keep the API fast for everyone, pagination is limited"
            return as_json({"message": message}, status=422)
        oldest = at(self.today, 8) - timedelta(days=KEEPS_D)
        kept = sorted((e for e in self.feeds[repo] if e.at >= oldest), key=lambda e: e.at)[::-1]
        shown = kept[: self.limit][(page - 1) * rows : page * rows]
        link = f'<{self.url}/repositories/2/events?page={page + 1}>; rel="next"'
        return as_json(
            [self._event(repo, event) for event in shown if event.visible],
            **{"x-poll-interval": "60", "etag": '"0af5"'} | ({"link": link} if shown else {}),
        )

    def _event(self, repo: str, event: Event) -> dict[str, object]:
        return {
            "id": event.id,
            "type": event.type,
            "actor": ACTOR,
            "repo": {"id": 2, "name": repo, "url": f"https://api.github.com/repos/{repo}"},
            "payload": event.payload,
            "public": True,
            "created_at": f"{event.at:%Y-%m-%dT%H:%M:%SZ}",
            "org": {"id": 4, "login": "org", "gravatar_id": "", "url": "u", "avatar_url": "a"},
        }

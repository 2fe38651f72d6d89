"""The feed of one repository's events, page by page.

Belongs here: asking for a feed, following a repository that was renamed.
Does not belong here: which repositories and days there are (`github`), events (`github_event`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from lake_assets.sources.answers import Moved, Refused
from lake_assets.sources.collect import Ask
from lake_assets.sources.github_event import Event

_PAGE_ROWS = 100
_MOVED = 301


class Feed(NamedTuple):
    """What a feed shows of the days asked for. `cut_at` is where GitHub ends it, if it does.

    `moved` says that the repository has another name by now.
    """

    events: Sequence[Event]
    cut_at: datetime | None
    moved: bool


def feed_of(ask: Ask, repo: str) -> Feed:
    """The feed back to the first day of the run, also of a repository that was renamed.

    Raises:
        Refused: GitHub does not show the repository to the token.
    """
    base = ask.settings["GITHUB_BASE_URL"]
    url = f"{base}/repos/{repo}/events"
    try:
        return _read(ask, url, moved=False)
    except Moved as moved:
        # By its number, on the same server: the token goes nowhere else.
        path = urlsplit(moved.location).path.removeprefix(urlsplit(base).path)
        if urlsplit(urljoin(url, moved.location)).netloc != urlsplit(base).netloc:
            raise Refused(str(moved), status=_MOVED, text="") from moved
    try:
        return _read(ask, f"{base}{path}", moved=True)
    except Moved as again:
        raise Refused(str(again), status=_MOVED, text="") from again


def _read(ask: Ask, url: str, *, moved: bool) -> Feed:
    first = ask.start - (ask.day - min(ask.days))
    events: list[Event] = []
    number = 1
    while True:
        page = ask.http.find_json(
            url,
            params={"per_page": _PAGE_ROWS, "page": number},
            headers={
                "accept": "application/vnd.github+json",
                "authorization": f"Bearer {ask.settings['GITHUB_TOKEN']}",
                "x-github-api-version": ask.settings["GITHUB_API_VERSION"],
            },
            into=list[Event],
            absent=() if number == 1 else (422,),
            transient=lambda status, text: status == 403 and "rate limit" in text.lower(),
            remember=True,
        )
        if not page or all(event.created_at < first for event in page):
            seen = [event.created_at for event in events]
            return Feed(events, min(seen) if page is None and seen else None, moved)
        events += page
        number += 1

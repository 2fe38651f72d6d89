"""What happens in our repositories on GitHub, from each repository's feed of events.

**What.** One row per event: pushes, pull requests, issues, comments, releases, stars, forks.

**Pages.** Up to 100 events, newest first. An empty page is the end of the feed; `422` says that
GitHub shows no more of it. A page that is not full ends nothing: hidden events leave gaps.

**A day** is `created_at` in UTC. Events show up 30 seconds to 6 hours late, so a day is read at
08:00 UTC of the next one. A run asks for each feed once, whatever the number of days.

**History.** A feed has at most 300 events and 30 days (90 before 2025). The feed of a busy
repository does not reach back to the start of the day: the day is written with what is left of it
and a warning that says from when on, or, if nothing is left, the run fails and writes nothing. What
the lake has of the day stays. The oldest of the 30 days is never whole, so it is out of reach.

**Personal data.** Logins are stored. Texts of people (`body`), commits with their authors,
addresses, phone and card numbers are taken out of `payload`.

**Traps.** A repository that the token may not see is a 404, as an unknown one: left out with a
warning. A renamed one redirects, which fails the run. Rate limits are 403 or 429; the 403 is told
from a refusal by its text. Since 2025-10 a push names its commits no more. Conditional requests
(ETag, `X-Poll-Interval`) are for pollers: one reading a day needs none.

**Unconfirmed:** that late events are sorted in by `created_at`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.github_event import Event

_PAGE_ROWS = 100


class Feed(NamedTuple):
    """What a feed shows of the days asked for. `cut_at` is where GitHub ends it, if it does."""

    events: Sequence[Event]
    cut_at: datetime | None


def collect(ask: Ask) -> Iterator[Row]:
    """The day's events of all repositories."""
    repos = config.listed(ask.settings["GITHUB_REPOS"])
    feeds = {repo: feed for repo in repos if (feed := _feed(ask, repo))}
    unknown = ", ".join(repo for repo in repos if repo not in feeds)
    if not feeds:
        raise SourceMismatch(f"GitHub shows none of these repositories to the token: {unknown}")
    if unknown and ask.day == ask.days[0]:
        ask.warn(f"GitHub does not show these repositories to the token: {unknown}")
    rows = [
        event.row()
        for feed in feeds.values()
        for event in feed.events
        if ask.start <= event.created_at < ask.end
    ]
    for repo, feed in feeds.items():
        if feed.cut_at and feed.cut_at > ask.start:
            lost = f"the feed of {repo} reaches back to {feed.cut_at:%Y-%m-%d %H:%M} UTC only"
            if not rows:
                raise SourceMismatch(f"GitHub shows nothing of {ask.day} any more: {lost}")
            ask.warn(f"{ask.day} is incomplete: {lost}")
    yield from rows


def _feed(ask: Ask, repo: str) -> Feed | None:
    """The feed back to the first day of the run; None if the token can't see the repository."""
    first = ask.start - (ask.day - min(ask.days))
    events: list[Event] = []
    number = 1
    while True:
        page = ask.http.find_json(
            f"{ask.settings['GITHUB_BASE_URL']}/repos/{repo}/events",
            params={"per_page": _PAGE_ROWS, "page": number},
            headers={
                "accept": "application/vnd.github+json",
                "authorization": f"Bearer {ask.settings['GITHUB_TOKEN']}",
                "x-github-api-version": ask.settings["GITHUB_API_VERSION"],
            },
            into=list[Event],
            absent=(404,) if number == 1 else (422,),
            transient=lambda status, text: status == 403 and "rate limit" in text.lower(),
            remember=True,
        )
        if page is None and number == 1:
            return None
        if not page or all(event.created_at < first for event in page):
            seen = [event.created_at for event in events]
            return Feed(events, min(seen) if page is None and seen else None)
        events += page
        number += 1


COLLECTOR = Collector(
    upstream=config.GITHUB,
    collect=collect,
    reach_d=29,
    fades=True,
    gone="GitHub shows the last 30 days to the hour, and at most 300 events per repository",
)

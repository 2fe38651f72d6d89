"""What happens in our repositories on GitHub, from each repository's feed of events.

**What.** One row per event: pushes, pull requests, issues, comments, releases, stars, forks.

**Pages.** Up to 100 events, newest first. An empty page is the end of the feed; `422` says that
GitHub shows no more of it. A page that is not full ends nothing: hidden events leave gaps.

**A day** is `created_at` in UTC. Events show up 30 seconds to 6 hours late, so a day is read at
08:00 UTC of the next one. Until then the feed is polled every hour, and what it shows joins what
the lake has: a feed forgets a busy day before it ends. A run asks for each feed once, whatever the
number of days.

**History.** A feed has at most 300 events and 30 days (90 before 2025). The feed of a busy
repository does not reach back to the start of the day: the day is written with what is left of it
and a warning that says from when on, or, if nothing is left, the run fails and writes nothing. What
the lake has of the day stays. The oldest of the 30 days is never whole, so it is out of reach.

**Personal data.** Logins are stored. Texts of people (`body`), commits with their authors,
addresses, phone and card numbers are taken out of `payload`.

**Traps.** A repository that the token may not see is a 404, as an unknown one, or a 403 or 451:
left out with a warning. A renamed one redirects to its number, which is asked in its place. Rate
limits are 403 or 429; the 403 is told from a refusal by its text. Since 2025-10 a push names its
commits no more. `X-Poll-Interval` asks for a minute between polls, which an hour keeps.

**Unconfirmed:** that late events are sorted in by `created_at`.
"""

from collections.abc import Iterator, Mapping

from lake_assets.sources import config
from lake_assets.sources.answers import Refused
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import NotShownAnyMore, SourceMismatch
from lake_assets.sources.github_feed import Feed, feed_of

_UNAUTHORIZED = 401


def collect(ask: Ask) -> Iterator[Row]:
    """The day's events of all repositories."""
    repos = config.listed(ask.settings["GITHUB_REPOS"])
    feeds: dict[str, Feed] = {}
    unread: dict[str, str] = {}
    for repo in repos:
        try:
            feeds[repo] = feed_of(ask, repo)
        except Refused as refusal:
            if refusal.status == _UNAUTHORIZED:
                raise
            unread[repo] = str(refusal)
    if not feeds:
        raise SourceMismatch(f"GitHub shows none of these repositories: {_listed(unread)}")
    if ask.day == ask.days[0]:
        for repo, feed in feeds.items():
            if feed.moved:
                ask.warn(f"{repo} was renamed: write its new name into GITHUB_REPOS")
        if unread:
            ask.warn(f"GitHub does not show these repositories: {_listed(unread)}")
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
                raise NotShownAnyMore(f"GitHub shows nothing of {ask.day} any more: {lost}")
            ask.warn(f"{ask.day} is incomplete: {lost}; what the lake has of it stays")
    yield from rows


def _listed(unread: Mapping[str, str]) -> str:
    return "; ".join(f"{repo} ({why})" for repo, why in unread.items())


COLLECTOR = Collector(
    upstream=config.GITHUB,
    collect=collect,
    reach_d=29,
    fades=True,
    gone="GitHub shows the last 30 days to the hour, and at most 300 events per repository",
)

"""Slack's channels, counted: how much was said on a day, and never what.

**What.** One row per channel that the bot is a member of, quiet or not, archived or not (a channel
archived after the day still has it). Other channels are only counted, in a warning.

**Pages.** `response_metadata.next_cursor` until it is empty; fewer rows than asked for end nothing.

**A day** is `ts` in UTC. A run asks for each channel's messages of all its days at once.

**A revision** overwrites: replies and reactions go on for days, and are counted as of the reading.
But a channel that could be read in part only overwrites none that was read as a whole or has more,
and one that the bot has left stays.

**Personal data.** Texts, names and files of people are read over and not stored, nor are user ids.

**Traps.** Errors come as 200 with `ok: false`. `oldest` and `latest` are exclusive. History has the
first message of a thread and not its replies, except those also sent to the channel
(`thread_broadcast`); joins, topics and the like are messages with a `subtype`. Free plans hide what
is older than 90 days (`is_limited`). Apps that are distributed outside of Slack's marketplace get
15 messages a minute.

**Unconfirmed:** that nothing but `is_limited` tells of hidden messages; that history answers for
archived channels (a refusal of one channel gives its row with `history_complete` false).
"""

from calendar import timegm
from collections.abc import Iterator
from typing import TypeVar

from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.slack_shapes import Answer, Channels, History, Message, Said, Team

Shape = TypeVar("Shape", bound=Answer)

_DAY_S = 24 * 60 * 60
_NOT_THIS_CHANNEL = {"not_in_channel", "channel_not_found", "is_archived", "no_permission"}


def collect(ask: Ask) -> Iterator[Row]:
    """One row per channel of the bot."""
    team_id = _answer(ask, "auth.test", Team).team_id
    types = "public_channel,private_channel"
    pages = _pages(ask, "conversations.list", Channels, types=types, exclude_archived="false")
    channels = [channel for page in pages for channel in page.items()]
    mine = [channel for channel in channels if channel.is_member]
    if not mine:
        raise SourceMismatch(f"the bot is in none of {len(channels)} channels: invite it to some")
    if ask.day == ask.days[0] and len(mine) < len(channels):
        ask.warn(f"{len(channels) - len(mine)} of {len(channels)} channels are not the bot's")
    for channel in mine:
        said = _said(ask, channel.id)
        yield {
            "stat_date": ask.day,
            "team_id": team_id,
            **channel.columns,
            **said.counted(since=ask.start, until=ask.end),
        }


def _said(ask: Ask, channel_id: str) -> Said:
    # Both ends are exclusive: from a microsecond before the first day to midnight after the last.
    oldest = f"{timegm(ask.days[0].timetuple()) - 1}.999999"
    latest = f"{timegm(ask.days[-1].timetuple()) + _DAY_S}.000000"
    span = {"channel": channel_id, "oldest": oldest, "latest": latest}
    messages: dict[str, Message] = {}
    complete = True
    for page in _pages(ask, "conversations.history", History, **span):
        if page.error in _NOT_THIS_CHANNEL:
            return Said([], complete=False)
        messages |= {each.ts: each for each in page.items()}
        complete = complete and not page.is_limited
    return Said(list(messages.values()), complete)


def _pages(ask: Ask, method: str, into: type[Shape], **params: str) -> Iterator[Shape]:
    """Every page, as far as the cursors lead."""
    limit = ask.settings["SLACK_PAGE_ROWS"]
    cursors = [""]
    while cursors[-1] or len(cursors) == 1:
        at = {"cursor": cursors[-1]} if cursors[-1] else {}
        page = _answer(ask, method, into, limit=limit, **params, **at)
        yield page
        following = page.response_metadata.next_cursor if page.response_metadata else ""
        if following in cursors[1:]:
            raise SourceMismatch(f"{method} goes in circles: the same cursor came twice")
        cursors.append(following)


def _answer(ask: Ask, method: str, into: type[Shape], **params: str) -> Shape:
    answer = ask.http.get_json(
        f"{ask.settings['SLACK_BASE_URL']}/api/{method}",
        params=params,
        headers={"authorization": f"Bearer {ask.settings['SLACK_BOT_TOKEN']}"},
        into=into,
        remember=True,
    )
    refused = into is History and answer.error in _NOT_THIS_CHANNEL
    if not answer.ok and not refused:
        wants = f" (it wants {answer.needed})" if answer.needed else ""
        raise SourceMismatch(f"Slack says `{answer.error}` to {method}{wants}: check the token")
    return answer


COLLECTOR = Collector(upstream=config.SLACK, collect=collect, fades=True, whole="history_complete")

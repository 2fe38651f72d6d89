"""Support conversations, from the Chatwoot installation that `CHATWOOT_BASE_URL` names.

**What.** All conversations of one account that the token's user may see: an administrator's token
sees all. Without `status=all` only open ones come.

**Pages.** Numbers, 25 rows each unless the installation says otherwise, newest activity first: a
day is read from the newest down to its beginning. A conversation that gets a message meanwhile
moves to the top and pushes others to the next page: they come twice. One that is deleted pulls
others up, past the reader: `all_count` falls, and the run wants to be run again.

**A day** is `last_activity_at` in UTC. Only the present state is known: of a past day it shows what
was quiet since. What the lake has of it stays.

**A revision** overwrites.

**Traps.** `timestamp` is the last activity, `id` counts within the account, `snoozed_until` is ISO
text among Unix seconds. Proxies may drop the header `api_access_token` for its underscores: that
looks like a wrong token. Limits are per address, 3,000 requests a minute.

**Unconfirmed:** what else channels tell in `additional_attributes`; see `chatwoot_conversation` for
what is stored.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import count, pairwise
from urllib.parse import quote

import msgspec

from lake_assets.sources import config
from lake_assets.sources.chatwoot_conversation import Conversation, moment, row_of
from lake_assets.sources.collect import Ask, Collector, Row
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable


class Counts(msgspec.Struct):
    """How many conversations there are."""

    all_count: int


class Part(msgspec.Struct):
    """The conversations of a page."""

    meta: Counts
    payload: list[Conversation]


class Page(msgspec.Struct):
    """Answer of `/conversations`."""

    data: Part


def collect(ask: Ask) -> Iterator[Row]:
    """The conversations whose last activity was on the day."""
    for said in _down_to_the_day(ask):
        active = moment(said.last_activity_at)
        if isinstance(active, datetime) and ask.start <= active < ask.end:
            yield row_of(said)


def _down_to_the_day(ask: Ask) -> Iterator[Conversation]:
    """All conversations from the newest activity to the day's beginning."""
    start, most, size = int(ask.start.timestamp()), 0, 0
    for number in count(1):
        page = _page(ask, number)
        all_count, some = page.meta.all_count, page.payload
        if all_count < most:
            raise SourceUnavailable("conversations were deleted while the pages were read")
        most, size = all_count, max(size, len(some))
        if any(after.last_activity_at > said.last_activity_at for said, after in pairwise(some)):
            raise SourceMismatch("the conversations are not ordered by their last activity")
        yield from some
        if not some and all_count > size * (number - 1):
            raise SourceUnavailable(f"page {number} of {all_count} conversations came empty")
        if not some or some[-1].last_activity_at < start:
            return


def _page(ask: Ask, number: int) -> Part:
    account = quote(ask.settings["CHATWOOT_ACCOUNT_ID"], safe="")
    return ask.http.get_json(
        f"{ask.settings['CHATWOOT_BASE_URL']}/api/v1/accounts/{account}/conversations",
        params={
            "status": "all",
            "assignee_type": "all",
            "sort_by": "last_activity_at_desc",
            "page": number,
        },
        headers={"api_access_token": ask.settings["CHATWOOT_API_TOKEN"]},
        into=Page,
        remember=True,
    ).data


COLLECTOR = Collector(upstream=config.CHATWOOT, collect=collect, fades=True)

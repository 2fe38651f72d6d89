"""The shapes of Slack's answers, without texts and names of people, and what is counted in them.

Belongs here: fields, what kind of message one is, counts of messages.
Does not belong here: asking for them (`slack`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from lake_assets.sources.answers import AskAgain
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.values import Loosely

_BUSY = {"internal_error", "fatal_error", "ratelimited", "request_timeout", "service_unavailable"}
_SAID = {None, "file_share", "me_message", "bot_message"}


class Cursor(msgspec.Struct):
    """Where the next page starts; empty at the end."""

    next_cursor: str = ""


class Answer(msgspec.Struct):
    """What all answers have. The other fields are there if it is `ok`."""

    ok: bool
    error: str = ""
    needed: str = ""
    response_metadata: Cursor | None = None

    def __post_init__(self) -> None:
        # Raised while the answer is decoded, so that it is asked for again like any busy answer.
        if self.error in _BUSY:
            raise AskAgain(f"Slack says `{self.error}`")


class Reaction(msgspec.Struct):
    """One emoji on a message."""

    count: int


class File(msgspec.Struct):
    """Files are only counted."""


class Message(msgspec.Struct):
    """One message."""

    ts: str
    subtype: str | None = None
    user: str | None = None
    bot_id: str | None = None
    thread_ts: str | None = None
    reply_count: int = 0
    reactions: list[Reaction] = []
    files: list[File] = []

    @property
    def at(self) -> datetime:
        """When it was sent.

        Raises:
            SourceMismatch: `ts` is no time.
        """
        seconds, _, micros = self.ts.partition(".")
        if not (seconds.isdecimal() and micros.isdecimal()):
            raise SourceMismatch(f"`ts` is no time: {self.ts[:40]!r}")
        return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(micros))

    @property
    def is_said(self) -> bool:
        """Whether someone said it to the channel: no notice, and no reply in a thread."""
        is_reply = self.thread_ts not in {None, self.ts}
        return self.subtype in _SAID and not is_reply

    @property
    def is_bots(self) -> bool:
        """Whether a bot or an app sent it."""
        return self.subtype == "bot_message" or self.bot_id is not None


class Channel(msgspec.Struct):
    """A channel of the workspace."""

    id: str
    name: Loosely[str | None] = None
    is_private: Loosely[bool | None] = None
    is_archived: Loosely[bool | None] = None
    is_member: bool = False
    num_members: Loosely[int | None] = None

    @property
    def columns(self) -> Mapping[str, object]:
        """What is stored of it."""
        return {
            "channel_id": self.id,
            "channel_name": self.name,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "num_members": self.num_members,
        }


class Team(Answer):
    """Answer of `auth.test`."""

    team_id: str | None = None


class Channels(Answer):
    """Answer of `conversations.list`."""

    channels: list[Channel] | None = None

    def items(self) -> list[Channel]:
        """What the page holds.

        Raises:
            SourceMismatch: it holds nothing of the kind.
        """
        if self.channels is None:
            raise SourceMismatch("conversations.list: the answer lacks `channels`")
        return self.channels


class History(Answer):
    """Answer of `conversations.history`."""

    messages: list[Message] | None = None
    is_limited: bool = False

    def items(self) -> list[Message]:
        """What the page holds.

        Raises:
            SourceMismatch: it holds nothing of the kind.
        """
        if self.messages is None:
            raise SourceMismatch("conversations.history: the answer lacks `messages`")
        return self.messages


class Said(NamedTuple):
    """The messages of a channel in the days of a run, and whether these are all."""

    messages: Sequence[Message]
    complete: bool

    def counted(self, *, since: datetime, until: datetime) -> Mapping[str, object]:
        """The columns that count what was said; notices and replies in threads are left out."""
        said = [each for each in self.messages if since <= each.at < until and each.is_said]
        people = [each for each in said if not each.is_bots]
        times = sorted(each.at for each in said)
        return {
            "messages": len(people),
            "bot_messages": len(said) - len(people),
            "thread_parents": sum(each.reply_count > 0 for each in said),
            "thread_replies": sum(each.reply_count for each in said),
            "unique_posters": len({each.user for each in people}),
            "reactions": sum(reaction.count for each in said for reaction in each.reactions),
            "files": sum(len(each.files) for each in said),
            "first_message_at": times[0] if times else None,
            "last_message_at": times[-1] if times else None,
            "history_complete": self.complete,
        }

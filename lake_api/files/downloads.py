"""What a link opens at the moment, and the bytes of its file.

Belongs here: judging a link at each use, reading a file in pieces, how many read at a time.
Does not belong here: HTTP (`controller`), what a link says (`links`).

A link opens what its holder could ask a link for now: token and swarm live, operation allowed,
datasets readable, file there and shared with it. A download that takes long is judged again.
"""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lake_api.artifacts.service import ARTIFACT, ArtifactService
from lake_api.errors import LakeError, NotFound, RateLimited
from lake_api.files.links import Link, StoredFile, plain_name
from lake_api.files.ranges import Span
from lake_api.identity import Caller, current_caller
from lake_api.jobs.asked import EXPORT
from lake_api.jobs.service import JobService
from lake_api.tokens.store import TokenStore

PIECE_BYTES = 4 * 1024 * 1024
_SENT_BYTES = 256 * 1024
JUDGE_AGAIN_S = 30.0
_DOWNLOADS = 32
_DOWNLOADS_OF_GROUP = 16
DOWNLOADS_OF_ONE = 8
_ALL = "all"
TURN_S = 10.0
_GRACE_S = 60.0
_LOWEST_BYTES_PER_S = 16_384
_KNOWN_LINKS = 10_000
_OPERATIONS = {EXPORT: "exports", ARTIFACT: "artifacts"}

_log = logging.getLogger("lake_api.files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file that its link's holder may read now."""

    link: Link
    holder: Caller
    file: StoredFile


class Downloads:
    """Files behind links. A turn is one download; those beyond the most wait, but not for long."""

    def __init__(
        self,
        *,
        jobs: JobService,
        artifacts: ArtifactService,
        tokens: TokenStore,
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._links = jobs.links
        self._objects = jobs.objects
        self._tokens = tokens
        self._turns = asyncio.Condition()
        self._reading: Counter[str] = Counter()
        self._used: OrderedDict[Link, None] = OrderedDict()

    def read(self, text: str) -> Link:
        """What a link says that is good at the moment.

        Raises:
            NotFound: it is over, or was not made here.
        """
        link = self._links.read(text)
        if link is None:
            raise gone()
        return link

    async def open(self, link: Link, *, name: str) -> Opened:
        """What a link leads to, judged now.

        Raises:
            NotFound: nothing that its holder may read.
        """
        opened = await self._judged(link)
        if plain_name(opened.file.name) != name:
            raise gone()
        return opened

    async def _judged(self, link: Link) -> Opened:
        holder = await current_caller(link.holder, self._tokens)
        if holder is None or not holder.grant.may(_OPERATIONS[link.kind]):
            raise gone()
        try:
            if link.kind == EXPORT:
                file = self._jobs.file_of(await self._jobs.get(EXPORT, link.file_id, holder))
            else:
                file = self._artifacts.file_of(await self._artifacts.get(link.file_id, holder))
        except NotFound:
            raise gone() from None
        return Opened(link=link, holder=holder, file=file)

    def is_first_use(self, link: Link) -> bool:
        """Whether this process has not given out bytes for the link before."""
        is_first = link not in self._used
        self._used[link] = None
        self._used.move_to_end(link)
        if len(self._used) > _KNOWN_LINKS:
            self._used.popitem(last=False)
        return is_first

    async def size_of(self, file: StoredFile) -> int:
        """How many bytes are stored of a file.

        Raises:
            NotFound: its object is gone.
            QueryUnavailable: storage does not answer.
        """
        try:
            return await self._objects.size_of(file.key)
        except FileNotFoundError:
            raise gone() from None

    @asynccontextmanager
    async def turn(self, holder: Caller) -> AsyncGenerator[None]:
        """The right to read one file, until the block is left.

        Raises:
            RateLimited: its holder, or all together, read too many for too long.
        """
        shares = {holder.key: DOWNLOADS_OF_ONE, _group_of(holder): _DOWNLOADS_OF_GROUP}

        def is_free() -> bool:
            return self._reading[_ALL] < _DOWNLOADS and all(
                self._reading[name] < most for name, most in shares.items()
            )

        taken = (_ALL, *shares)
        async with self._turns:
            try:
                async with asyncio.timeout(TURN_S):
                    await self._turns.wait_for(is_free)
            except TimeoutError:
                raise RateLimited(
                    "Too many files are downloaded at the same time.",
                    code="too_many_downloads",
                    hint="Download them one after the other.",
                    retry=True,
                    retry_after_s=1,
                ) from None
            self._reading.update(taken)
        try:
            yield
        finally:
            self._reading.subtract(taken)
            # Counts of nobody are forgotten.
            self._reading = +self._reading
            # Also where the caller has left: whoever waits must hear of it.
            await asyncio.shield(self._wake())

    async def _wake(self) -> None:
        async with self._turns:
            self._turns.notify_all()

    async def pieces(self, opened: Opened, span: Span) -> AsyncGenerator[bytes]:
        """The bytes of a span, read as they are taken.

        Ends early, with a line in the log, where the holder loses the right to read the file, takes
        it too slowly, or storage fails: the caller sees that bytes are missing.

        Raises:
            NotFound: its object is gone, before the first piece.
            QueryUnavailable: storage does not answer, before the first piece.
        """
        begun_s = judged_s = time.monotonic()
        sent = 0
        try:
            while sent < span.length:
                length = min(PIECE_BYTES, span.length - sent)
                piece = await self._piece(opened.file, start=span.start + sent, length=length)
                for first in range(0, length, _SENT_BYTES):
                    now_s = time.monotonic()
                    if now_s - judged_s >= JUDGE_AGAIN_S:
                        judged_s = now_s
                        await self._judged(opened.link)
                    if (now_s - begun_s - _GRACE_S) * _LOWEST_BYTES_PER_S > sent:
                        raise RateLimited("The file is read too slowly.", code="download_too_slow")
                    part = piece[first : first + _SENT_BYTES]
                    yield part
                    sent += len(part)
        except LakeError as error:
            if not sent:
                raise
            _log.warning("a download ended early: %s", error.code)

    async def _piece(self, file: StoredFile, *, start: int, length: int) -> bytes:
        try:
            return await self._objects.read(file.key, start=start, length=length)
        except FileNotFoundError:
            raise gone() from None


def _group_of(holder: Caller) -> str:
    """Whose share of all downloads it is: agents by network can call themselves as they like."""
    if holder.swarm_id is not None:
        return f"swarm:{holder.swarm_id}"
    return f"alone:{holder.key}" if holder.token_id is not None else f"all:{holder.role.value}"


def downloads_of(
    *, jobs: JobService | None, artifacts: ArtifactService | None, tokens: TokenStore
) -> Downloads | None:
    """The downloads of a service; None without an identity to write files with."""
    if jobs is None or artifacts is None:
        return None
    return Downloads(jobs=jobs, artifacts=artifacts, tokens=tokens)


def gone() -> NotFound:
    """What is told of every link that opens nothing, for whatever reason."""
    return NotFound(
        "This link opens no file: it is over, or its file or the right to read it is gone.",
        code="unknown_file",
        hint="Ask for a fresh link: it is the `url` of the export or the artifact.",
    )

"""Texts that have ended a worker, which are refused for a while.

Belongs here: which ends of a process are the text's fault, and for how long it is refused.
Does not belong here: starting, stopping and replacing workers (`pool`).

A worker that the kernel or an operator ended (SIGKILL), that was stopped at a deadline, by its
caller or with the service says nothing about the text. One that ended itself because the system
refused it memory says that the query needs more than it may have: that depends on the data, too.
"""

import hashlib
import signal
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query.messages import Extraction, PageRead, Work

REFUSED_S = 600.0
"""How long such a text is refused."""

_KEPT = 1_000
_CODE = "query_ends_worker"
_HINT = "Write it in another way: less deeply nested values, shorter texts, fewer steps at once."
_CRASHES = frozenset(
    -one
    for one in (
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    )
)


def is_crash(returncode: int | None) -> bool:
    """Whether a process ended by its own fault: a fatal signal, or an error of the interpreter."""
    return returncode in _CRASHES or (returncode is not None and returncode > 0)


_NO_MEMORY = ("bad_alloc", "Cannot allocate memory", "MemoryError", "out of memory")
"""What the libraries of a worker say that can't go on without the memory they asked for."""


def lacked_memory(returncode: int | None, last_words: str) -> bool:
    """Whether a process ended itself for lack of memory."""
    return is_crash(returncode) and any(sign in last_words for sign in _NO_MEMORY)


class RefusedTexts:
    """What has ended a worker lately, by text and view; at most `_KEPT` of them."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        self._now = now
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def check(self, work: Work) -> None:
        """Refuse work that has ended a worker.

        Raises:
            QueryRejected: it has, within `REFUSED_S`.
        """
        if not self._until:
            return
        key = _fingerprint(work)
        left_s = self._until.get(key, 0.0) - self._clock()
        if left_s <= 0:
            self._until.pop(key, None)
            return
        until = self._now() + timedelta(seconds=left_s)
        raise QueryRejected(
            "This query ended the process that ran it, and is refused until "
            f"{until.strftime('%Y-%m-%dT%H:%M:%SZ')}.",
            code=_CODE,
            hint=_HINT,
        )

    def add(self, work: Work) -> QueryUnavailable:
        """Remember work that has ended a worker; what its caller is told."""
        key = _fingerprint(work)
        self._until[key] = self._clock() + REFUSED_S
        self._until.move_to_end(key)
        while len(self._until) > _KEPT:
            self._until.popitem(last=False)
        return QueryUnavailable(
            "The query ended the process that ran it. The same query is refused for "
            f"{REFUSED_S / 60:g} minutes.",
            code=_CODE,
            hint=_HINT,
            retry=False,
        )


def _fingerprint(work: Work) -> bytes:
    """The text or kept result, in one form, as one view sees it."""
    form = "" if isinstance(work, PageRead) else work.form.value
    source = work.stored if isinstance(work, Extraction | PageRead) else None
    page = (work.first_row, work.rows) if isinstance(work, PageRead) else None
    seen = [(view.name, view.columns) for view in work.views]
    parts = (type(work).__name__, form, work.sql, source, page, seen)
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()

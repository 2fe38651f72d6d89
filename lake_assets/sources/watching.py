"""Looking on while a collector reads an answer, without its knowing.

Belongs here: what reading a document or a table tells whoever looks on.
Does not belong here: judging it (`check`), reading it (`answers`, `values`).
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Watch(Protocol):
    """Who looks on."""

    def document(self, body: bytes, into: object) -> None:
        """A JSON document came that is to have the shape `into`."""

    def table(self, columns: Iterable[str]) -> None:
        """A record of a table came, with these columns."""

    def cell(self, column: str) -> None:
        """The collector reads this column."""


WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched_by(watch: Watch) -> Generator[None]:
    """Everything that is read meanwhile is shown to `watch`."""
    token = WATCH.set(watch)
    try:
        yield
    finally:
        WATCH.reset(token)

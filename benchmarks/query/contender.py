"""What a contender is, whichever it is.

Belongs here: the one interface that is measured, and what its calls give.
Does not belong here: any single contender (`embedded`, `over_http`).
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_assets.catalog import LakeLocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Rows and the milliseconds that they took; `server_ms` is what our endpoint itself says."""

    taken_ms: float
    rows: Sequence[Sequence[Any]]
    server_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """(client, index of its text, milliseconds) of each call of several clients together."""

    taken: Sequence[tuple[int, int, float]]
    failures: Sequence[str]
    seconds: float


class AskFailed(Exception):
    """A contender did not answer a query."""


class Contender(ABC):
    """One thing that answers SQL over the lake. `directory` is for its files."""

    name: str
    keeps = True
    """Whether it keeps anything of one query for the next."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Do what is needed once, before any measurement.

        Raises:
            PeerMissing: it can't be measured here.
        """

    @abstractmethod
    def start(self, location: LakeLocation) -> None:
        """Start a fresh process with empty caches; return when it takes queries.

        Raises:
            PeerMissing: it does not start.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the process and drop its caches."""

    @abstractmethod
    def ask(self, sql: str) -> Answer:
        """One query.

        Raises:
            AskFailed: there is no answer.
        """

    def settle(self) -> None:  # noqa: B027 - most do nothing between queries
        """Return when the work is done that queries left to be done in the background."""

    @abstractmethod
    def load(
        self, clients: Sequence[Sequence[str]], seconds: float, *, pauses_s: Sequence[float] = ()
    ) -> Load:
        """Each client asks its texts, one after the other, until the time is over.

        `pauses_s` has the seconds that each client waits after an answer; empty, none waits.
        """


def in_threads(work: Sequence[Callable[[], Any]]) -> None:
    """Run each in a thread; the first failure is raised when all are done."""
    failures: list[BaseException] = []

    def guarded(one: Callable[[], Any]) -> None:
        try:
            one()
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]

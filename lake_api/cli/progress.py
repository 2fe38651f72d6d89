"""How far something is.

Belongs here: the live line on a terminal, and the sparse lines elsewhere.
Does not belong here: what is going on.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_BETWEEN_LINES_S = 3.0


class Line(Protocol):
    """Takes how far it is; `total` is 0 where that is not known."""

    def __call__(self, text: str, *, done: int, total: int) -> None:
        """Show it."""
        ...


@contextmanager
def live_line(console: Console) -> Generator[Line]:
    """A line that moves on a terminal and is gone afterwards; elsewhere, lines now and then."""
    if not console.is_terminal:
        yield _SparseLines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        line = progress.add_task("", total=None)

        def show(text: str, *, done: int, total: int) -> None:
            progress.update(line, description=text, completed=done, total=total or None)

        yield show


class _SparseLines:
    """A line when the words change, or the numbers do and the last one is some seconds old."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text = ""
        self._line = ""
        self._printed = 0.0

    def __call__(self, text: str, *, done: int, total: int) -> None:
        line = f"{text} ({done} of {total})" if total else text
        is_due = time.monotonic() - self._printed > _BETWEEN_LINES_S
        if text != self._text or (line != self._line and is_due):
            self._console.print(line)
            self._text, self._line, self._printed = text, line, time.monotonic()

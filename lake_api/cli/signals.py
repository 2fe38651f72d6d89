"""Being told to stop: Ctrl-C, a service manager, a closed terminal.

Belongs here: what these signals do while a command runs.
Does not belong here: stopping the parts (`stack`).
"""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


@contextmanager
def interrupting() -> Generator[None]:
    """Each of them raises KeyboardInterrupt, wherever the command is."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


@contextmanager
def setting(stopping: threading.Event) -> Generator[None]:
    """Each of them sets `stopping`; nothing is interrupted."""
    with _handling(lambda _number, _frame: stopping.set()):
        yield


@contextmanager
def ignoring() -> Generator[None]:
    """None of them does anything: cleaning up has an end of its own."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: _Handler) -> Generator[None]:
    before = {number: signal.signal(number, handler) for number in _STOPS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)

"""A small process that outlives a killed parent, and ends what that parent had started.

Belongs here: the guardian's program, and the parent's side of its pipe.
Does not belong here: stopping parts in good order (`process`, `supervisor`).

The parent writes one line per child, `+PID SIGNAL` when it starts and `-PID` when it has ended.
Once the parent is gone (its end of the pipe is closed, or the guardian was given to another
parent), every child that is still listed gets its signal; after a grace, it, everything below it
and their process groups are killed.
"""

import atexit
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from functools import cache

import psutil

GRACE_S = 4.0
POLL_S = 0.5
_NOT_FOR_IT = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_KILL_S = 2.0
_WAIT_S = 0.02


class Guardian:
    """The parent's side: tells the guardian process which children to end after a crash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Whoever interrupts the parent's terminal or service means the parent, not its guardian.
        # A child inherits what is blocked, so that this holds from its first moment.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_IT)
        try:
            # -P: the folder of this file must not shadow modules of the standard library.
            self._process = subprocess.Popen(  # noqa: S603 - this very file
                [sys.executable, "-P", __file__, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        """The guardian's process id."""
        return self._process.pid

    def watch(self, pid: int, stop_signal: signal.Signals) -> None:
        """End `pid` and its tree when this process is gone."""
        self._tell(f"+{pid} {int(stop_signal)}\n")

    def forget(self, pid: int) -> None:
        """`pid` has ended; its number may belong to somebody else soon."""
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        """Let the guardian end what is still listed, and then itself."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            self._process.wait()

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return
        with self._lock:
            try:
                pipe.write(line.encode())
                pipe.flush()
            except BrokenPipeError:
                # Somebody ended the guardian; the parts still stop in good order without it.
                return


@cache
def guardian() -> Guardian:
    """The one guardian of this process, started at first use."""
    return Guardian()


def descendants(pid: int) -> set[psutil.Process]:
    """Everything that a process has started, and what that has started."""
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return set()


def kill_left(group: int, tree: set[psutil.Process]) -> None:
    """Kill what is left of a part: its known descendants, and its process group."""
    for process in tree:
        with contextlib.suppress(psutil.Error):
            process.kill()
    # Finds what started after the tree was read, also when the group's leader has ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    _wait_ended(tree, timeout_s=_KILL_S)


def _wait_ended(processes: Iterable[psutil.Process], *, timeout_s: float) -> set[psutil.Process]:
    """The processes that still run after the timeout.

    One that has ended counts even while its parent has not collected it: orphans belong to the
    system's first process, and in a container that may never do so.
    """
    running = {process for process in processes if _runs(process)}
    deadline = time.monotonic() + timeout_s
    while running and time.monotonic() < deadline:
        time.sleep(_WAIT_S)
        running = {process for process in running if _runs(process)}
    return running


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _end_orphans(listed: dict[int, signal.Signals]) -> None:
    """Ask each part to stop; after the grace kill it with all that it started."""
    # Listed before anything ends: a child whose parent is gone can't be found any more.
    trees = {pid: descendants(pid) for pid in listed}
    parts: list[psutil.Process] = []
    for pid, stop_signal in listed.items():
        with contextlib.suppress(psutil.Error):
            part = psutil.Process(pid)
            part.send_signal(stop_signal)
            parts.append(part)
    for part in _wait_ended(parts, timeout_s=GRACE_S):
        trees[part.pid] |= {part, *descendants(part.pid)}
    for pid, tree in trees.items():
        kill_left(pid, tree)


def _apply(line: bytes, listed: dict[int, signal.Signals]) -> None:
    words = line[1:].split()
    if line.startswith(b"+"):
        listed[int(words[0])] = signal.Signals(int(words[1]))
    else:
        listed.pop(int(words[0]), None)


def _main(parent: int) -> None:
    listed: dict[int, signal.Signals] = {}
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            # Asked before the pipe is: once the parent is gone, what it wrote is there to be read.
            orphaned = os.getppid() != parent
            if not selector.select(0 if orphaned else POLL_S):
                if orphaned:
                    break
                continue
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _apply(line, listed)
    _end_orphans(listed)


if __name__ == "__main__":
    _main(int(sys.argv[1]))

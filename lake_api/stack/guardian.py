"""A small process that outlives a killed parent, and ends what that parent had started.

Belongs here: the guardian's program, and the parent's side of its pipe.
Does not belong here: stopping parts in good order (`process`, `supervisor`).

The parent writes one line per child, `+PID SIGNAL` when it starts and `-PID` when it has ended.
When the parent is gone (its end of the pipe closed, or the guardian has a new parent), every
child that is still listed is asked to stop with its signal, and after a grace its whole tree
and process group are killed.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from functools import cache

GRACE_S = 4.0
POLL_S = 0.5


class Guardian:
    """The parent's side: tells the guardian process which children to end after a crash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # -I -S: no site-packages, no user code; the program needs the standard library only.
        self._process = subprocess.Popen(  # noqa: S603 - this file, by this interpreter
            [sys.executable, "-I", "-S", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={},
        )

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

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        if pipe is None or self._process.poll() is not None:
            return
        with self._lock:
            try:
                pipe.write(line.encode())
                pipe.flush()
            except BrokenPipeError:
                # The guardian was killed by hand: the parts still stop in good order without it.
                return


@cache
def guardian() -> Guardian:
    """The one guardian of this process, started at first use."""
    return Guardian()


def _parents() -> dict[int, int]:
    """The parent of every process, from `/proc` where there is one, else from `ps`."""
    if not os.path.isdir("/proc/self"):
        listing = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False
        ).stdout
        rows = [line.split() for line in listing.splitlines() if line.strip()]
        return {int(pid): int(parent) for pid, parent in rows}
    parents: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        # A process may end while the table is read.
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stat:
            # The command's name stands in parentheses and may hold anything.
            parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
    return parents


def _descendants(roots: set[int]) -> set[int]:
    """Every process below `roots`, read from the system's process table."""
    parents = _parents()
    found = set(roots)
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found - roots


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal(pid: int, number: int) -> None:
    # The process may end between being listed and being told.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _end(children: dict[int, int]) -> None:
    """Ask every child to stop, and kill what is left of their trees after the grace."""
    trees = _descendants(set(children)) | set(children)
    for pid, number in children.items():
        _signal(pid, number)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and any(_alive(pid) for pid in trees):
        time.sleep(0.05)
    for pid in trees | _descendants(trees):
        _signal(pid, signal.SIGKILL)


def _serve(parent: int) -> None:
    """The guardian's program: keep the list, and act when the parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    children: dict[int, int] = {}
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        while True:
            ready = selector.select(timeout=POLL_S)
            chunk = os.read(sys.stdin.fileno(), 65536) if ready else None
            if chunk == b"" or os.getppid() != parent:
                break
            *lines, buffer = (buffer + (chunk or b"")).split(b"\n")
            for line in lines:
                pid, _, number = line[1:].partition(b" ")
                if line.startswith(b"+"):
                    children[int(pid)] = int(number)
                else:
                    children.pop(int(pid), None)
    _end(children)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

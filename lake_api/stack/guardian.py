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
from functools import cache

import psutil

GRACE_S = 4.0
POLL_S = 0.5


class Guardian:
    """The parent's side: tells the guardian process which children to end after a crash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # -P: the folder of this file must not shadow modules of the standard library.
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-P", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
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


def end_trees(signals: dict[int, signal.Signals], *, grace_s: float) -> None:
    """Send each process its signal; after the grace kill it, its tree and their groups."""
    roots: dict[psutil.Process, signal.Signals] = {}
    for pid, stop_signal in signals.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            roots[psutil.Process(pid)] = stop_signal
    # Listed before anything ends: a child whose parent is gone can't be found any more.
    trees = {process for root in roots for process in (root, *_below(root))}
    for root, stop_signal in roots.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            root.send_signal(stop_signal)
    _, alive = psutil.wait_procs(roots, timeout=grace_s)
    for root in alive:
        trees |= {root, *_below(root)}
    for process in trees:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for pid in signals:
        end_group(pid)
    psutil.wait_procs(trees, timeout=grace_s)


def end_group(leader: int) -> None:
    """Kill what is left of a part's process group, also when its leader has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _apply(line: bytes, listed: dict[int, signal.Signals]) -> None:
    words = line[1:].split()
    if line.startswith(b"+"):
        listed[int(words[0])] = signal.Signals(int(words[1]))
    else:
        listed.pop(int(words[0]), None)


def _main(parent: int) -> None:
    # Whoever interrupts the parent's terminal or service means the parent, not its guardian.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    listed: dict[int, signal.Signals] = {}
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while os.getppid() == parent:
            if not selector.select(POLL_S):
                continue
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _apply(line, listed)
    end_trees(listed, grace_s=GRACE_S)


if __name__ == "__main__":
    _main(int(sys.argv[1]))

"""One part as a child process: start it, wait until it answers, stop it whole.

Belongs here: the life of a child process and the end of its whole tree.
Does not belong here: which parts there are (`s3`, `postgres`, `dagster`, `api`).
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lake_api.stack.errors import StackError
from lake_api.stack.guardian import guardian

_LOG_TAIL_BYTES = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a part is started. `env` replaces the environment; `log` takes all that it prints."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    user: int | None = None
    group: int | None = None


class Child:
    """A running part. Its descendants are stopped with it, and after a crash by the guardian."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - parts of the stack only
                launch.argv,
                cwd=launch.cwd,
                env=dict(launch.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A session of its own: Ctrl-C reaches the parent only, which stops parts in order.
                start_new_session=True,
                user=launch.user,
                group=launch.group,
                extra_groups=[] if launch.user is not None else None,
            )
        guardian().watch(self.pid, launch.stop_signal)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Return when `ready` holds.

        Raises:
            StackError: the process ended, or the time is over; the log's end is in the error.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self.exit_code is not None:
                raise StackError(
                    f"{self.launch.name} ended at start with exit code {self.exit_code}",
                    log=self.log_tail(),
                )
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.launch.name} did not get ready within {timeout_s:.0f} s",
                    log=self.log_tail(),
                )
            time.sleep(0.05)

    def log_tail(self) -> str:
        """The last lines that the part printed."""
        with self.launch.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()

    def stop(self, *, grace_s: float = 8.0) -> None:
        """Ask the part to stop; after the grace, kill it with all that it started."""
        tree = self._descendants()
        if self.exit_code is None:
            self._process.send_signal(self.launch.stop_signal)
            try:
                self._process.wait(timeout=grace_s)
            except subprocess.TimeoutExpired:
                tree |= self._descendants()
                self._process.kill()
                self._process.wait()
        _, left = psutil.wait_procs(tree, timeout=1.0)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=2.0)
        guardian().forget(self.pid)

    def _descendants(self) -> set[psutil.Process]:
        try:
            return set(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return set()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)

"""One part as a child process: start it, wait until it answers, stop it whole.

Belongs here: what holds for every part alike.
Does not belong here: which parts there are (`s3`, `postgres`, `dagster`).
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lake_api.stack.environment import with_direct_loopback, without_foreign
from lake_api.stack.errors import StackError
from lake_api.stack.guardian import descendants, guardian, kill_left

STOP_GRACE_S = 6.0
READY_S = 300.0
"""How long a part may take until it answers. One that ended is noticed at once; one that lives is
slow because the machine is busy, and gets there."""
_POLL_S = 0.03
_LINE_BYTES = 400
_KEPT_LOGS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The user that a process runs as, when it may not run as the current one."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a part is started. `env` replaces the environment; `log` takes all that it prints.

    `leftovers` are files that the part does not remove when it ends; `descriptors` are open files
    that it inherits.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    run_as: RunAs | None = None
    leftovers: Sequence[Path] = ()
    descriptors: Sequence[int] = ()


class Child:
    """A running part. Its descendants are stopped with it, and after a crash by the guardian.

    Raises:
        StackError: the program can't be started.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(launch.log)
        # Before the child: what is started must be watched from its first moment.
        watch = guardian()
        user = launch.run_as
        descriptor = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - parts of the stack only
                launch.argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=dict(launch.env),
                cwd=launch.cwd,
                # A session of its own: Ctrl-C reaches the parent only, which stops parts in order.
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
                pass_fds=launch.descriptors,
            )
        except OSError as error:
            raise StackError(f"{launch.name} can't be started: {error.strerror}") from error
        finally:
            os.close(descriptor)
        watch.watch(self.pid, launch.stop_signal)

    @property
    def pid(self) -> int:
        """The process id; also the id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float = READY_S) -> None:
        """Return once `ready` holds; a part that fails to get there is stopped.

        Raises:
            StackError: the process ended, or the time is over; the log's end is in the error.
        """
        deadline = time.monotonic() + timeout_s
        while self.exit_code is None and time.monotonic() < deadline:
            if ready():
                return
            time.sleep(_POLL_S)
        code = self.exit_code
        self.stop()
        reason = (
            f"was not ready within {timeout_s:.0f} s"
            if code is None
            else f"ended while it started (exit code {code})"
        )
        name = self.launch.name
        raise StackError(f"{name} {reason}", hint=f"see {self.launch.log}", log=self.log_tail())

    def log_tail(self, lines: int = 15) -> str:
        """The last lines that it printed."""
        return log_tail(self.launch.log, lines)

    def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        """Ask the part to stop; after the grace, kill it with all that it started."""
        tree = descendants(self.pid) if self.exit_code is None else set[psutil.Process]()
        if self.exit_code is None:
            self._process.send_signal(self.launch.stop_signal)
            try:
                self._process.wait(timeout=grace_s)
            except subprocess.TimeoutExpired:
                tree |= descendants(self.pid)
                self._process.kill()
                self._process.wait()
        kill_left(self.pid, tree)
        guardian().forget(self.pid)
        for path in self.launch.leftovers:
            path.unlink(missing_ok=True)


def log_tail(path: Path, lines: int = 30) -> str:
    """The last lines of a text file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - lines * _LINE_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def child_environment(
    base: Mapping[str, str], extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a child sees: `base` without what is meant for other programs, and `extra`.

    Its text is UTF-8 whatever the locale is, and it reaches loopback without a proxy.
    """
    env = with_direct_loopback(without_foreign(base))
    return {**env, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **(extra or {})}


def _rotate(log: Path) -> None:
    """`part.log` becomes `part.log.1`, and so on; the oldest goes."""
    for number in range(_KEPT_LOGS, 0, -1):
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(log.with_name(f"{log.name}.{number}"))

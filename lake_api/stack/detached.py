"""A stack that outlives the command that started it.

Belongs here: starting `lake up` in the background, and ending it from another process.
Does not belong here: what the background process does (`supervisor`).
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from lake_api.stack.errors import StackError
from lake_api.stack.process import log_tail
from lake_api.stack.state import StackState, is_running, lock, read_state

# Longer than the graces of all parts together.
_STOP_S = 120.0


def start_detached(arguments: Sequence[str], *, home: Path, env: Mapping[str, str]) -> StackState:
    """Run `lake up` with `arguments` in the background; return when the stack is ready.

    Raises:
        AlreadyRunning: a stack runs in this state directory.
        StackError: it did not get ready; the error has its log.
    """
    lock(home).close()
    log_path = home / "logs" / "up.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "lake_api.cli", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=dict(env),
        )
    while process.poll() is None:
        state = read_state(home)
        if state is not None and state.pid == process.pid:
            return state
        time.sleep(0.1)
    raise StackError("the lake did not start", log=log_tail(log_path))


def stop_running(home: Path) -> bool:
    """Stop the stack of a state directory; False when none runs.

    Raises:
        StackError: it did not stop in time.
    """
    state = read_state(home)
    if state is None:
        return False
    with suppress(psutil.NoSuchProcess):
        psutil.Process(state.pid).terminate()
    deadline = time.monotonic() + _STOP_S
    while is_running(home):
        if time.monotonic() > deadline:
            raise StackError("the lake did not stop in time", hint=f"kill process {state.pid}")
        time.sleep(0.1)
    return True

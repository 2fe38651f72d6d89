"""What is written down about a running stack, and who may run one.

Belongs here: the state file and the lock beside it.
Does not belong here: starting or stopping anything (`supervisor`).
"""

import fcntl
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from lake_api.stack.errors import StackError
from lake_api.stack.secret_files import write_private

_STATE = "stack.json"
_LOCK = "lock"
_WISH = "start-what-is-down"
_MARKS = ("%", "?", "\\")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """One part: `running`, `external` (the user's own) or `restarting`.

    `ends` counts how often it ended by itself, `attempts` how often it was started again; `reason`
    is why it was down last, `next_try_at` when it is started again.
    """

    name: str
    state: str
    pid: int | None = None
    log: str | None = None
    ends: int = 0
    attempts: int = 0
    reason: str | None = None
    next_try_at: str | None = None

    @property
    def is_down(self) -> bool:
        """Whether it should run and does not."""
        return self.state not in {"running", "external"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """A running stack. `settings` holds secrets: it is never shown, only handed to processes."""

    pid: int
    started_at: str
    api_url: str
    dagster_url: str
    s3_endpoint: str
    internal_api_key_file: str
    owner_database_url: str | None = field(repr=False)
    schedules: bool
    parts: tuple[PartState, ...]
    settings: Mapping[str, str] = field(repr=False)
    notes: tuple[str, ...] = ()
    """What a person should know of its start: ports that were taken."""


class AlreadyRunning(StackError):
    """Another process runs the stack of this state directory."""


def project_root() -> Path:
    """The checkout: where `dagster.yaml` and `workspace.yaml` stand."""
    return Path(__file__).parents[2]


def default_home(root: Path) -> Path:
    """The state directory: `LAKE_STATE_DIR`, or `.lake` in the checkout."""
    chosen = os.environ.get("LAKE_STATE_DIR", "").strip()
    return Path(chosen).absolute() if chosen else root / ".lake"


def require_plain_path(home: Path, *, installation: str = sys.prefix) -> None:
    """Refuse paths with marks that a part would take for something else.

    Dagster writes the path of its storage into a database's URL, and that of its own installation
    into a configuration file, both as they are; DuckDB takes a backslash for a slash.

    Raises:
        StackError: the state directory or the installation is in such a path.
    """
    for path, hint in (
        (installation, "move the checkout to a folder with a plainer path"),
        (os.fspath(home), "set LAKE_STATE_DIR to a folder with a plainer path"),
    ):
        mark = next((one for one in _MARKS if one in path), None)
        if mark is not None:
            raise StackError(f"the lake can't be in a path with {mark} in it: {path}", hint=hint)


def lock(home: Path) -> IO[str]:
    """Take the stack's lock; it is held until the returned file is closed, or its process ends.

    Raises:
        AlreadyRunning: somebody else holds it.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = (home / _LOCK).open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise AlreadyRunning(
            "the lake is running already", hint="`lake status` shows it, `lake down` stops it"
        ) from None
    return handle


def is_running(home: Path) -> bool:
    """Whether some process holds the stack's lock."""
    if not (home / _LOCK).exists():
        return False
    try:
        lock(home).close()
    except AlreadyRunning:
        return True
    return False


def write_state(home: Path, state: StackState) -> None:
    """Replace the state file in one step."""
    write_private(home / _STATE, msgspec.json.format(msgspec.json.encode(state)).decode())


def read_state(home: Path) -> StackState | None:
    """The running stack, or None; what a crashed one left behind is no running stack.

    Raises:
        StackError: there is a state, and it can't be read.
    """
    try:
        content = (home / _STATE).read_bytes()
        return msgspec.json.decode(content, type=StackState) if is_running(home) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackError(
            f"the state directory {home} can't be read: {error.strerror}",
            hint="Run this as the user who ran `lake up`, or set LAKE_STATE_DIR to another folder.",
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StackError(
            f"the state file {home / _STATE} is broken",
            hint="Remove it, end what is left of the lake, and run `lake up` again.",
        ) from error


def clear_state(home: Path) -> None:
    """Forget the stack."""
    (home / _STATE).unlink(missing_ok=True)
    (home / _WISH).unlink(missing_ok=True)


def wish_for_start(home: Path) -> None:
    """Ask the process that runs the stack to start at once what is down."""
    (home / _WISH).touch(mode=0o600)


def take_wish(home: Path) -> bool:
    """Whether somebody asked for it since the last time."""
    try:
        (home / _WISH).unlink()
    except FileNotFoundError:
        return False
    return True

"""Where Postgres lives, and as whom, when it may not run as the project's user.

Belongs here: the system user, programs and a data directory that it can reach.
Does not belong here: starting Postgres (`postgres`); copying its programs (`postgres_programs`).

Postgres refuses to run as root. Started by root, it runs as the user `pgserver`, who owns the data
directory. The data are always in the project's directory. Folders above it may be closed to others
(a home directory, a private temp folder) and stay so: the server gets the directory as an open
file and reaches its data through `/proc/self/fd`, for which nobody asks about the folders above.

Earlier versions kept the data of closed folders below /var/tmp, and a file `data-location` said
where. Such data are moved into the directory at the next start.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lake_api.stack.errors import StackError
from lake_api.stack.postgres_programs import import_wheel, programs_for, shared_root
from lake_api.stack.process import RunAs

_PREFIX = "ainative-lake-postgres-"
_LOCATION = "data-location"
_ORIGIN = "origin"
SYSTEM_USER = "pgserver"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresHome:
    """The user to run as (None: the current one), the programs, and the folder of the data.

    `reached` is the folder as that user names it, by way of `descriptor` where that is set.
    """

    run_as: RunAs | None
    binaries: Path
    directory: Path
    reached: Path
    descriptor: int | None = None

    @property
    def data(self) -> Path:
        """The data directory, for the project."""
        return self.directory / "data"

    @property
    def reached_data(self) -> Path:
        """The data directory, for the server."""
        return self.reached / "data"

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open files that the server's processes inherit."""
        return () if self.descriptor is None else (self.descriptor,)


@contextmanager
def open_home(directory: Path, install: Path) -> Generator[PostgresHome]:
    """The home for the data of `directory`, with the programs of `install`.

    Raises:
        StackError: the system user can't be made, its programs or its data can't be reached.
    """
    _bring_back(directory)
    if os.geteuid() != 0:
        yield PostgresHome(
            run_as=None, binaries=install / "bin", directory=directory, reached=directory
        )
        return
    user = _system_user()
    # Nothing but the data directory is for that user; walking through is enough.
    directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXOTH)
    _give(directory / "data", user)
    binaries = programs_for(user, install)
    if _may_walk(directory, user):
        yield PostgresHome(run_as=user, binaries=binaries, directory=directory, reached=directory)
        return
    if not sys.platform.startswith("linux"):
        raise StackError(
            f"Postgres can't run as root, and the user `{SYSTEM_USER}` can't reach {directory}",
            hint="run as another user, or set PLATFORM_DATABASE_URL",
        )
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield PostgresHome(
            run_as=user,
            binaries=binaries,
            directory=directory,
            reached=Path(f"/proc/self/fd/{descriptor}"),
            descriptor=descriptor,
        )
    finally:
        os.close(descriptor)


def _system_user() -> RunAs:
    try:
        # The wheel's own helper, so that other programs which use the wheel share its user.
        entry = import_wheel().ensure_user_exists(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StackError(
            f"Postgres can't run as root, and the user `{SYSTEM_USER}` could not be made",
            hint=f"run as another user, add `{SYSTEM_USER}`, or set PLATFORM_DATABASE_URL",
        ) from error
    if entry is None:
        raise StackError(f"the system user `{SYSTEM_USER}` was not found after it was made")
    return RunAs(uid=entry.pw_uid, gid=entry.pw_gid)


def _may_walk(directory: Path, user: RunAs) -> bool:
    """Whether the user can reach what is in `directory`, whose own mode we may set."""
    return all(_may_pass(parent, user) for parent in directory.resolve().parents)


def _may_pass(path: Path, user: RunAs) -> bool:
    status = path.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == user.gid else stat.S_IXOTH))


def _give(data: Path, user: RunAs) -> None:
    """Make the user the owner of the data: a copy, or the system's user, may have another id."""
    if not data.exists() or data.stat().st_uid == user.uid:
        return
    for path in (data, *data.rglob("*")):
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


# ---- data of earlier versions


def _bring_back(directory: Path) -> None:
    """Move data that an earlier version kept outside of `directory` into it.

    Raises:
        StackError: they are not where they were, or another directory's server uses them.
    """
    location = directory / _LOCATION
    if not location.exists():
        return
    outside = Path(location.read_text(encoding="utf-8").strip())
    if (directory / "data").exists():
        # The last step of an interrupted move.
        location.unlink()
        return
    old = outside / "data"
    if not old.is_dir():
        raise StackError(
            f"the data of Postgres were in {old}, and are not there any more",
            hint=f"bring them back, or remove {location} to begin with an empty database",
        )
    if _is_served(old):
        raise StackError(
            f"the data of Postgres are in {old}, and another server uses them",
            hint="stop that server (`lake down` in its checkout), then start again",
        )
    draft = Path(tempfile.mkdtemp(prefix=".data.", dir=directory))
    is_moved = _origin(outside) == os.fspath(directory.resolve())
    if is_moved:
        shutil.move(old, draft / "data")
    else:
        # This directory is a copy: the original still wants its data.
        shutil.copytree(old, draft / "data", symlinks=True)
        _give_back(draft / "data", old)
    (draft / "data").rename(directory / "data")
    draft.rmdir()
    location.unlink()
    if is_moved:
        shutil.rmtree(outside, ignore_errors=True)


def _give_back(copy: Path, original: Path) -> None:
    status = original.stat()
    for path in (copy, *copy.rglob("*")):
        os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


def _origin(outside: Path) -> str:
    try:
        return (outside / _ORIGIN).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _is_served(data: Path) -> bool:
    try:
        first = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
    except (FileNotFoundError, IndexError):
        return False
    return psutil.pid_exists(int(first))


def discard_outside(directory: Path) -> None:
    """Remove what an earlier version kept outside of `directory`, if anything."""
    digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    outside = shared_root() / f"{_PREFIX}{digest}"
    with suppress(FileNotFoundError):
        if outside.lstat().st_uid == os.geteuid():
            shutil.rmtree(outside, ignore_errors=True)

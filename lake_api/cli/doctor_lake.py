"""What `lake doctor` finds out about the lake itself: ports, settings, parts, the last errors.

Belongs here: finding each of them out without changing anything, and what is wrong with it.
Does not belong here: the machine (`doctor_facts`), hiding secrets (`secrets`).
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from lake_api.cli.doctor_facts import Advice, Case, said
from lake_api.cli.secrets import address_of
from lake_api.settings import SETTINGS, Settings, SettingsError, all_names
from lake_api.stack.ports import is_free
from lake_api.stack.process import log_tail
from lake_api.stack.supervisor import Ports
from lake_assets.catalog.settings import (
    check_lake_settings,
    check_names,
    platform_database_url,
)
from lake_assets.sources.config import setting_names

_PREFIXES = (
    "LAKE_", "MINIO_", "AINATIVE_", "PLATFORM_", "DAGSTER_", "AWS_", "PYTHON", "PIP_", "PG",
    "CONDA_", "VIRTUAL_ENV",
)  # fmt: skip
_ERROR = re.compile(r"error|exception|traceback|fatal|panic|critical|failed", re.IGNORECASE)
# Colours of a terminal, which Dagster writes into its logs as well.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# A line that names a level below a warning: `uvicorn.error` is the name of a logger, and the
# sensor `failed_datasets` looks for failures twice a minute.
_HARMLESS = re.compile(r"""\s-\s(INFO|DEBUG)\s-\s|"level":\s*"(info|debug)"|^(INFO|DEBUG):""")
_LOG_LINES = 400
_SHOWN_LINES = 3
_SECRET_FILE_BYTES = 4_096


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
        if pid in ours and pid is not None:
            found[name] = f"{port} is used by the running lake"
        else:
            found[name] = f"{port} is taken by {_program(pid)}; `lake up` takes the next free one"
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


def settings(case: Case, advice: list[Advice]) -> Mapping[str, Any]:
    """The names of settings that are set; no value is shown."""
    known = {setting.name for setting in SETTINGS} | set(setting_names())
    names = sorted(name for name in case.env if name in known or name.startswith(_PREFIXES))
    found: dict[str, Any] = {"set in this shell": " ".join(names) or "none"}
    try:
        check_names(case.env, all_names())
    except SettingsError as error:
        # Names only: the message quotes no value.
        advice.append(Advice(problem=str(error), do="Unset it, or correct its name."))
    try:
        check_lake_settings(case.env)
        platform_database_url(case.env)
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
        if part.is_down or is_gone:
            advice.append(
                Advice(
                    problem=f"the part {part.name} does not run",
                    do=f"`lake logs {part.name}` says why; `lake up` tries again at once.",
                )
            )
    return found


def last_errors(case: Case, _advice: list[Advice]) -> Mapping[str, Any]:
    """The last lines of each log that tell of an error."""
    found: dict[str, Any] = {}
    for log in sorted(_logs(case)):
        try:
            lines = _COLOUR.sub("", log_tail(log, _LOG_LINES)).splitlines()
        except OSError as error:
            found[log.stem] = f"{log} can't be read: {said(error)}"
            continue
        wrong = [one for one in lines if _ERROR.search(one) and not _HARMLESS.search(one)]
        wrong = wrong[-_SHOWN_LINES:]
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

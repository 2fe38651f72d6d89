"""Dagster's three processes: code server, webserver and daemon.

Belongs here: how they are started and how one sees that they are ready.
Does not belong here: what Dagster runs (`lake_assets.orchestration`), asking it for runs
(`lake_api.tasks`).
"""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from lake_api.stack.ports import LOOPBACK, listens
from lake_api.stack.process import Child, Launch

MODULE = "lake_assets.definitions"
LOCATION = "lake_assets"
_PROBE_S = 30.0
_READY = """
{
  workspaceOrError {
    ... on Workspace { locationEntries { locationOrLoadError { __typename } } }
  }
  instance { daemonHealth { daemonStatus(daemonType: "QUEUED_RUN_COORDINATOR") { healthy } } }
}
"""


def start_code_server(
    *, root: Path, env: Mapping[str, str], port: int, log: Path, module: str = MODULE
) -> Child:
    """The process that loads the definitions and starts runs; listening when this returns.

    Raises:
        StackError: it did not start; the error has its log.
    """
    command = [
        *_program("dagster", "code-server", "start"),
        f"--module-name={module}",
        f"--host={LOOPBACK}",
        f"--port={port}",
        f"--location-name={LOCATION}",
        f"--working-directory={root}",
    ]
    child = Child(Launch(name="dagster-code", argv=command, env=env, cwd=root, log=log))
    child.wait_until(lambda: listens(child.pid, port) and _is_listening(port))
    return child


def start_webserver(*, root: Path, env: Mapping[str, str], port: int, log: Path) -> Child:
    """The UI and its GraphQL, behind checks of its own; answering when this returns.

    Raises:
        StackError: it did not start; the error has its log.
    """
    command = [
        *_program("lake_assets.orchestration.webserver"),
        f"--host={LOOPBACK}",
        f"--port={port}",
        f"--workspace={root / 'workspace.yaml'}",
    ]
    child = Child(Launch(name="dagster-webserver", argv=command, env=env, cwd=root, log=log))
    child.wait_until(lambda: listens(child.pid, port) and _is_serving(port))
    return child


def start_daemon(*, root: Path, env: Mapping[str, str], log: Path) -> Child:
    """The process that dequeues runs, ticks schedules and works through backfills."""
    command = [*_program("dagster._daemon", "run"), f"--workspace={root / 'workspace.yaml'}"]
    return Child(Launch(name="dagster-daemon", argv=command, env=env, cwd=root, log=log))


def _program(module: str, *arguments: str) -> list[str]:
    # Dagster's marks for its beta features would fill the logs.
    return [sys.executable, "-W", "ignore", "-m", module, *arguments]


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _is_serving(port: int) -> bool:
    try:
        answer = httpx.get(
            f"http://{LOOPBACK}:{port}/server_info", timeout=_PROBE_S, trust_env=False
        )
    except httpx.HTTPError:
        return False
    return answer.is_success


def is_ready(url: str) -> bool:
    """Whether the definitions are loaded and the daemon takes runs from the queue."""
    try:
        answer = httpx.post(
            f"{url}/graphql", json={"query": _READY}, timeout=_PROBE_S, trust_env=False
        )
        data = answer.raise_for_status().json()["data"]
        entries = data["workspaceOrError"]["locationEntries"]
        loaded = [entry["locationOrLoadError"]["__typename"] for entry in entries]
        status = data["instance"]["daemonHealth"]["daemonStatus"]
    except (httpx.HTTPError, KeyError, TypeError, ValueError):
        return False
    return loaded == ["RepositoryLocation"] and bool(status and status["healthy"])

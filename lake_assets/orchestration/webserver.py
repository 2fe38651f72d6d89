"""Dagster's webserver behind the checks of `browser_guard`: `python -m …webserver --port=3000`.

Belongs here: starting it.
Does not belong here: the checks; what the UI shows, which is Dagster's own.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__

from lake_assets.catalog.settings import read_lake_setting
from lake_assets.orchestration.browser_guard import App, BrowserGuard

_POLL_MS = 2_000
_STOP_S = 3


def serve(*, host: str, port: int, workspace: Path) -> None:
    """Serve the UI and its GraphQL until the process is told to stop.

    Raises:
        SettingsError: LAKE_DAGSTER_ALLOWED_HOSTS is not what it takes.
    """
    allowed_hosts = read_lake_setting("LAKE_DAGSTER_ALLOWED_HOSTS", os.environ)
    configure_loggers(log_level="INFO")
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
        )
        target = WorkspaceFileTarget(paths=[os.fspath(workspace)])
        with WorkspaceProcessContext(
            instance, version=__version__, workspace_load_target=target
        ) as context:
            app = create_app_from_workspace_process_context(context, live_data_poll_rate=_POLL_MS)
            guarded: Any = BrowserGuard(cast("App", app), allowed_hosts=allowed_hosts)
            uvicorn.run(
                guarded,
                host=host,
                port=port,
                log_level="warning",
                # Nothing that a proxy adds may change what the checks see.
                proxy_headers=False,
                timeout_graceful_shutdown=_STOP_S,
            )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="webserver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--workspace", type=Path, default=Path("workspace.yaml"))
    chosen = parser.parse_args(arguments)
    serve(host=chosen.host, port=chosen.port, workspace=chosen.workspace)


if __name__ == "__main__":
    main()

"""`lake status`, `lake logs`, `lake env`: what there is to know about the running stack.

Belongs here: showing its state.
Does not belong here: changing it (`up`).
"""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from lake_api.cli import tables
from lake_api.cli.failure import CommandFailed
from lake_api.cli.running import find_running, require_running
from lake_api.cli.text import visible
from lake_api.nearest import did_you_mean
from lake_api.stack.environment import with_direct_loopback
from lake_api.stack.process import log_tail
from lake_api.stack.state import PartState, StackState
from lake_assets.catalog import load_catalog
from lake_assets.sources.config import UPSTREAMS


def run_status(*, as_json: bool) -> None:
    """Print the state; exit code 1 when nothing runs."""
    state = find_running()
    if as_json:
        click.echo(json.dumps(facts(state), indent=2))
    elif state is None:
        click.echo("The lake is not running; `lake up` (or `make up`) starts it.")
    else:
        print_state(state, tables.stdout())
    if state is None:
        sys.exit(1)


def run_logs(part: str, *, lines: int) -> None:
    """Print the end of a part's log.

    Raises:
        CommandFailed: there is no such part, or it has no log here.
    """
    parts = {one.name: one for one in require_running().parts}
    found = parts.get(part)
    if found is None:
        raise CommandFailed(
            f"there is no part `{visible(part)}`",
            hint=did_you_mean(part, parts, otherwise=f"The parts are {', '.join(parts)}."),
        )
    if found.log is None:
        raise CommandFailed(
            f"{part} is your own server, started elsewhere", hint="Its log is where you run it."
        )
    click.echo(log_tail(Path(found.log), lines))


def run_env() -> None:
    """Print the settings of the parts for a shell to evaluate."""
    state = require_running()
    direct = with_direct_loopback(
        {name: os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy")}
    )
    for name, value in sorted({**state.settings, **direct, "LAKE_API_URL": state.api_url}.items()):
        click.echo(f"export {name}={shlex.quote(value)}")


def facts(state: StackState | None) -> dict[str, Any]:
    """What `--json` tells; no secret is among it."""
    if state is None:
        return {"running": False}
    return {
        "running": True,
        "pid": state.pid,
        "started_at": state.started_at,
        "api_url": state.api_url,
        "dagster_url": state.dagster_url,
        "s3_endpoint": state.s3_endpoint,
        "internal_api_key_file": state.internal_api_key_file,
        "schedules": state.schedules,
        "datasets": len(load_catalog()),
        "parts": {
            part.name: {
                "state": part.state,
                "pid": part.pid,
                "log": part.log,
                "ends": part.ends,
                "attempts": part.attempts,
                "reason": part.reason,
                "next_try_at": part.next_try_at,
            }
            for part in state.parts
        },
        "sources": {
            upstream.name: {
                "title": upstream.title,
                "configured": not upstream.why_not(state.settings),
                "missing": list(upstream.missing(state.settings)),
            }
            for upstream in UPSTREAMS
        },
    }


def how_it_ended(part: PartState) -> str:
    """How often a part was down, why the last time, and what comes next, in one line."""
    often = "once" if part.ends == 1 else f"{part.ends} times"
    line = f"{part.name} ended by itself {often} since `lake up`; the last reason: {part.reason}."
    if not part.is_down:
        return f"{line} It runs again."
    if part.next_try_at is None:
        return f"{line} It is being started."
    return (
        f"{line} The next try is at {part.next_try_at}; `lake up` tries at once, "
        f"`lake logs {part.name}` says more."
    )


def print_state(state: StackState, console: Console) -> None:
    """The URLs, and how each part does."""
    tables.print_rows(
        console,
        ("part", "state", "pid"),
        [(part.name, part.state, part.pid) for part in state.parts],
        column_types=("VARCHAR", "VARCHAR", "BIGINT"),
    )
    for part in state.parts:
        if part.ends:
            console.print(how_it_ended(part), soft_wrap=True)
    refused = {upstream.name: upstream.why_not(state.settings) for upstream in UPSTREAMS}
    configured = [name for name, reason in refused.items() if not reason]
    tables.print_facts(
        console,
        [
            ("service", state.api_url),
            ("its docs", f"{state.api_url}/docs"),
            ("Dagster UI", state.dagster_url),
            ("S3", state.s3_endpoint),
            ("internal API key in", state.internal_api_key_file),
            ("schedules", "on" if state.schedules else "off"),
            ("datasets", f"{len(load_catalog())} (`lake datasets`)"),
            ("outside sources", ", ".join(configured) or "none is configured"),
            *(("not configured", reason) for reason in refused.values() if reason),
        ],
    )

"""`lake reindex`.

Belongs here: recording what the bucket has, in a process of its own, and showing how far it is.
Does not belong here: the recording (`lake_assets.orchestration.reindex`): that process has Dagster,
this one has not.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date

import click
import msgspec

from lake_api.cli import tables
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.running import require_running
from lake_api.cli.signals import interrupting
from lake_api.stack.process import child_environment
from lake_api.stack.state import StackState, project_root


class Progress(msgspec.Struct, frozen=True):
    """What the process says after some days."""

    done: int
    total: int
    day: date


def run_reindex(*, as_json: bool) -> None:
    """Record, and say how many days it were.

    Raises:
        CommandFailed: nothing runs, or the bucket or Dagster's storage does not answer.
    """
    state = require_running()
    last: Progress | None = None
    with live_line(tables.stderr()) as line, interrupting():
        for last in _progress(state):
            line(f"recorded up to {last.day}", done=last.done, total=last.total)
    days = last.done if last else 0
    if as_json:
        click.echo(msgspec.json.encode({"recorded": days}))
    elif days:
        click.echo(f"{days:,} days of the bucket are recorded in Dagster; nothing was run.")
    else:
        click.echo("Dagster knows every day that the bucket has.")


def _progress(state: StackState) -> Iterator[Progress]:
    with subprocess.Popen(
        [sys.executable, "-m", "lake_assets.orchestration.reindex"],
        stdout=subprocess.PIPE,
        env=child_environment(os.environ, state.settings),
        cwd=project_root(),
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for text in process.stdout:
            yield msgspec.json.decode(text, type=Progress)
    if process.returncode:
        raise CommandFailed(
            f"recording ended early (exit code {process.returncode})",
            hint="What it said stands above. `lake reindex` again goes on from where it was.",
        )

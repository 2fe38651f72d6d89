"""`lake up` and `lake down`.

Belongs here: one run of the stack, from the command to its end.
Does not belong here: starting and watching parts (`stack.supervisor`).
"""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import click

from lake_api.cli import tables
from lake_api.cli.environment import require_usable_settings
from lake_api.cli.failure import CommandFailed
from lake_api.cli.signals import ignoring, interrupting, setting
from lake_api.cli.status import print_state
from lake_api.stack.detached import start_detached, stop_running
from lake_api.stack.fakes import require_fakes
from lake_api.stack.process import READY_S
from lake_api.stack.state import (
    PartState,
    StackState,
    default_home,
    project_root,
    read_state,
    wish_for_start,
)
from lake_api.stack.supervisor import Ports, Supervisor
from lake_assets.sources.config import setting_names

_POLL_S = 0.2


def run_up(*, detach: bool, schedules: bool, with_fakes: bool, ports: Mapping[str, int]) -> None:
    """Start all parts; return when told to stop, or at once when detached.

    Of a stack that runs, parts that are down are started.

    Raises:
        CommandFailed: a stack runs already and whole, or a part of it does not start.
        StackError: a part did not start.
    """
    root = project_root()
    home = default_home(root)
    running = read_state(home)
    if running is not None:
        if any(part.is_down for part in running.parts):
            _start_what_is_down(running, home)
            return
        raise CommandFailed(
            f"the lake is running already: service {running.api_url}, Dagster UI "
            f"{running.dagster_url}",
            hint="`lake status` shows it, `lake down` stops it.",
        )
    require_usable_settings()
    if with_fakes:
        require_fakes(root)
    if detach:
        click.echo("Starting the lake in the background …", err=True)
        arguments = [f"--{name}-port={port}" for name, port in ports.items()]
        arguments.append("--schedules" if schedules else "--no-schedules")
        if with_fakes:
            arguments.append("--with-fakes")
        state = start_detached(arguments, home=home, env=os.environ)
        print_state(state, tables.stdout())
        for note in state.notes:
            click.echo(note)
        click.echo("`lake down` stops everything.")
        return
    supervisor = Supervisor(
        home=home,
        root=root,
        env=os.environ,
        ports=Ports(**ports),
        schedules=schedules,
        with_fakes=with_fakes,
        source_settings=setting_names(),
        on_event=click.echo,
    )
    _run_until_told(supervisor)


def run_down() -> None:
    """Stop the running stack, if there is one."""
    stopped = stop_running(default_home(project_root()))
    click.echo("The lake is stopped." if stopped else "The lake was not running.")


def _start_what_is_down(running: StackState, home: Path) -> None:
    """Have the running stack try its missing parts at once, and say what came of it."""
    before = {part.name: part for part in running.parts if part.is_down}
    click.echo(f"The lake is running already; starting what is down: {', '.join(before)} …")
    wish_for_start(home)
    deadline = time.monotonic() + READY_S
    while True:
        now = read_state(home)
        if now is None:
            raise CommandFailed("the lake was stopped meanwhile", hint="`lake up` starts it.")
        parts = [part for part in now.parts if part.name in before]
        # A try is over when the part runs, or waits for the next one.
        if all(_is_settled(part, before[part.name]) for part in parts):
            break
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    down = [part for part in parts if part.is_down]
    if down:
        raise CommandFailed(
            "; ".join(f"{part.name} does not start: {part.reason}" for part in down),
            hint=f"`lake logs {down[0].name}` says more. It is tried again by itself.",
        )
    print_state(now, tables.stdout())


def _is_settled(part: PartState, before: PartState) -> bool:
    if not part.is_down:
        return True
    return part.attempts > before.attempts and part.next_try_at is not None


def _run_until_told(supervisor: Supervisor) -> None:
    stopping = threading.Event()
    with interrupting():
        try:
            state = supervisor.start()
            print_state(state, tables.stdout())
            click.echo("Ctrl-C stops everything.")
            with setting(stopping):
                supervisor.watch(stopping)
        finally:
            with ignoring():
                click.echo("Stopping …")
                supervisor.stop()

"""`lake trigger`.

Belongs here: launching one task and showing how it goes.
Does not belong here: which tasks and days there are (the service knows).
"""

import time
from collections.abc import Callable, Mapping

import click
import msgspec

from lake_api.cli import tables
from lake_api.cli.client import LakeClient, connect
from lake_api.cli.failure import CommandFailed
from lake_api.cli.patience import Patience
from lake_api.cli.problem import ProblemAnswer
from lake_api.cli.progress import live_line
from lake_api.cli.signals import interrupting
from lake_api.cli.text import visible
from lake_api.tasks.schemas import TaskStatus, TriggerAnswer

_ENDED = frozenset({"succeeded", "failed", "canceled"})
_POLL_S = 0.25


def run_trigger(
    task: str, kwargs: Mapping[str, str], *, wait: bool, as_json: bool, api_url: str | None
) -> None:
    """Launch, and wait for the end if asked to.

    Raises:
        CommandFailed: the service refused, or the task failed.
    """
    with connect(api_url, admin=True) as client:
        try:
            launched = client.trigger(task, kwargs)
        except ProblemAnswer as refusal:
            if as_json:
                click.echo(refusal.body)
            raise
        if not wait:
            _print_launched(launched, as_json=as_json)
            return
        with interrupting():
            try:
                ended = _wait(client, launched)
            except KeyboardInterrupt as error:
                raise CommandFailed(
                    f"no longer waiting; {launched.task} goes on as {launched.task_id}",
                    hint="The Dagster UI shows it, and can end it.",
                ) from error
    if as_json:
        click.echo(msgspec.json.encode(ended))
    if ended.status != "succeeded":
        raise task_failed(client, launched.task, ended)
    if not as_json:
        _print_ended(ended)


def wait_for_end(
    client: LakeClient, task_id: str, *, follow: Callable[[TaskStatus], None]
) -> TaskStatus:
    """Ask until the task has ended; `follow` hears every answer.

    Raises:
        CommandFailed: nothing has answered for minutes, or the service refuses to tell.
    """
    patience = Patience()
    while True:
        try:
            status = client.task(task_id)
        except CommandFailed as error:
            patience.wait_after(error)
            continue
        patience.heard()
        follow(status)
        if status.status in _ENDED:
            return status
        time.sleep(_POLL_S)


def task_failed(client: LakeClient, task: str, ended: TaskStatus) -> CommandFailed:
    """The failure of a task that ended otherwise than well."""
    how = "was canceled" if ended.status == "canceled" else "failed"
    counts = ended.partitions
    days = f" ({counts.failed} of {counts.total} days)" if counts.total > 1 else ""
    why = f": {visible(ended.error)}" if ended.error else ""
    log = f"{client.dagster_url or 'the Dagster UI, '}{ended.dagster_url}"
    return CommandFailed(f"{task} {how}{days}{why}", hint=f"Its log is at {log}")


def _wait(client: LakeClient, launched: TriggerAnswer) -> TaskStatus:
    with live_line(tables.stderr()) as line:

        def follow(status: TaskStatus) -> None:
            counts = status.partitions
            some = f"{counts.failed} day{'' if counts.failed == 1 else 's'}"
            failed = f", {some} failed" if counts.failed else ""
            line(f"{launched.task} {status.status}{failed}", done=counts.done, total=counts.total)

        return wait_for_end(client, launched.task_id, follow=follow)


def _print_launched(launched: TriggerAnswer, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(launched))
        return
    days = ""
    if launched.first_day is not None:
        days = f" for {launched.first_day}"
        if launched.last_day != launched.first_day:
            days += f" to {launched.last_day}"
    click.echo(f"{launched.task}{days} is queued as {launched.task_id}")


def days_written(ended: TaskStatus) -> str:
    """How many days a task that succeeded wrote, and why not the first other one."""
    done, days = ended.partitions.done, ended.partitions.total
    of = f"{days}" if done == days else f"{done} of {days}"
    why = f"; {visible(ended.left_out)}" if ended.left_out else ""
    return f"{of} day{'' if days == 1 else 's'} written{why}"


def _print_ended(ended: TaskStatus) -> None:
    seconds = ""
    if ended.started_at is not None and ended.finished_at is not None:
        seconds = f" in {(ended.finished_at - ended.started_at).total_seconds():.1f} s"
    wrote = f", {days_written(ended)}" if ended.partitions.total else ""
    click.echo(f"{ended.task} succeeded{seconds}{wrote}")

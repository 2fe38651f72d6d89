"""Every command: its name, its arguments, its sentence of help.

Belongs here: what can be typed.
Does not belong here: what it does. That is in the modules beside this one, imported when their
command runs: `lake --help` must not wait for HTTP, tables or the stack.
"""
# ruff: noqa: PLC0415 - see above

from datetime import datetime
from typing import Any

import click

from lake_api.cli.asking import COMMANDS
from lake_api.cli.failure import LakeGroup
from lake_api.cli.options import DAY as _DAY
from lake_api.cli.options import POSITIVE as _POSITIVE
from lake_api.cli.options import api_url_option as _api_url
from lake_api.cli.options import as_json_option as _as_json

_PORT = click.IntRange(1, 65_535)
# These must work where the settings are wrong; the demo takes none of them.
_WITHOUT_SETTINGS = {"demo", "doctor", "down", "logs", "status"}


@click.group(cls=LakeGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ainative-lake", prog_name="lake")
@click.pass_context
def main(ctx: click.Context) -> None:
    """A data lake that agents can be trusted with."""
    if ctx.invoked_subcommand not in _WITHOUT_SETTINGS:
        from lake_api.cli.environment import require_known_settings

        require_known_settings()


@main.command()
@click.option("--detach", is_flag=True, help="Return once all parts are ready; they go on.")
@click.option("--api-port", type=_PORT, help="Port of the service; 8000, else any free one.")
@click.option("--dagster-port", type=_PORT, help="Port of the UI; 3000, else any free one.")
@click.option("--s3-port", type=_PORT, help="Port of the S3 server; 8333, else any free one.")
@click.option("--postgres-port", type=_PORT, help="Port of Postgres; 5432, else any free one.")
@click.option("--schedules/--no-schedules", default=True, help="Run tasks at their times.")
@click.option(
    "--with-fakes", is_flag=True, help="Stand-ins for all outside sources: no key is needed."
)
def up(*, detach: bool, schedules: bool, with_fakes: bool, **ports: int | None) -> None:
    """Start everything; Ctrl-C stops it.

    S3 and Postgres are embedded, or your own where MINIO_URL or PLATFORM_DATABASE_URL is set.
    """
    from lake_api.cli.up import run_up

    chosen = {name.removesuffix("_port"): port for name, port in ports.items() if port is not None}
    run_up(detach=detach, schedules=schedules, with_fakes=with_fakes, ports=chosen)


@main.command()
def down() -> None:
    """Stop what `lake up` started."""
    from lake_api.cli.up import run_down

    run_down()


@main.command("check-sources")
@click.option("--source", "sources", multiple=True, help="Only this one; may be given again.")
@_as_json
def check_sources(*, sources: tuple[str, ...], as_json: bool) -> None:
    """Ask each outside source once, gently.

    What is missing or of another type than expected is told field by field, and so are sources
    that are not configured, refuse or don't answer. The exit code is 1 when one of those that are
    configured can't be collected as it is.
    """
    from lake_api.cli.check_sources import run_check_sources

    run_check_sources(sources, as_json=as_json)


@main.command()
@_as_json
def status(*, as_json: bool) -> None:
    """Show what runs, and where.

    The exit code is 1 when nothing runs.
    """
    from lake_api.cli.status import run_status

    run_status(as_json=as_json)


@main.command()
@_as_json
def doctor(*, as_json: bool) -> None:
    """Say what a helper would ask for.

    Versions, paths, limits, proxies, ports, settings by name, parts, the last errors: no secret is
    among it. The exit code is 1 when something is found to be wrong.
    """
    from lake_api.cli.doctor import run_doctor

    run_doctor(as_json=as_json)


@main.command()
@click.argument("part")
@click.option("--lines", type=_POSITIVE, default=50, show_default=True, help="How many.")
def logs(*, part: str, lines: int) -> None:
    """Print the last log lines of a PART."""
    from lake_api.cli.status import run_logs

    run_logs(part, lines=lines)


@main.command()
def env() -> None:
    """Print the settings as exports for a shell.

    They are those of the running stack, its secrets included: `eval "$(lake env)"`.
    """
    from lake_api.cli.status import run_env

    run_env()


@main.command()
@click.argument("task")
@click.option("--date", "day", type=_DAY, help="The day to write, such as 2026-11-21.")
@click.option("--from", "first", type=_DAY, help="First day of a range.")
@click.option("--to", "last", type=_DAY, help="Last day of the range; without it, all since.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for its end.")
@_as_json
@_api_url
def trigger(
    *,
    task: str,
    day: datetime | None,
    first: datetime | None,
    last: datetime | None,
    wait: bool,
    as_json: bool,
    api_url: str | None,
) -> None:
    """Launch a TASK now.

    One day is one run, a range one backfill; without days, the newest complete one.
    """
    from lake_api.cli.trigger import run_trigger

    if day and (first or last):
        raise click.UsageError("Choose either --date, or --from and --to.")
    if last and not first:
        raise click.UsageError("--to needs --from.")
    given = {"date": day, "start_date": first, "end_date": last}
    kwargs = {name: value.date().isoformat() for name, value in given.items() if value}
    run_trigger(task, kwargs, wait=wait, as_json=as_json, api_url=api_url)


@main.command()
@click.option("--missing", is_flag=True, required=True, help="Only days that are not there.")
@click.option("--dataset", "datasets", multiple=True, help="Only this one; may be given again.")
@click.option("--group", "groups", multiple=True, help="Only these; may be given again.")
@click.option("--from", "first", type=_DAY, help="First day; 30 days ago without it.")
@click.option("--to", "last", type=_DAY, help="Last day; today without it.")
@click.option("--dry-run", is_flag=True, help="Only show what is missing.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for the end.")
@_as_json
def backfill(
    *,
    missing: bool,  # noqa: ARG001 - without it nothing is done; ranges are `lake trigger`'s
    datasets: tuple[str, ...],
    groups: tuple[str, ...],
    first: datetime | None,
    last: datetime | None,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Write days that are missing or failed.

    Those that schedules should have written; one backfill per dataset. For whole ranges, also of
    days that are there, use `lake trigger` with --from.
    """
    from lake_api.cli.backfill import Wanted, run_backfill

    wanted = Wanted(
        datasets=datasets,
        groups=groups,
        first=first.date() if first else None,
        last=last.date() if last else None,
    )
    run_backfill(wanted, dry_run=dry_run, wait=wait, as_json=as_json)


@main.command()
@_as_json
def reindex(*, as_json: bool) -> None:
    """Record in Dagster which days the bucket has.

    For a lake whose Dagster directory was lost: the UI shows its days again. Nothing is run, and
    days that Dagster knows are left alone; when it was ended, it goes on from where it was.
    """
    from lake_api.cli.reindex import run_reindex

    run_reindex(as_json=as_json)


@main.command()
@click.option("--dataset", "datasets", multiple=True, help="Only this one; may be given again.")
@click.option("--dry-run", is_flag=True, help="Only count the days that need it.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for the end.")
@_as_json
def repair(*, datasets: tuple[str, ...], dry_run: bool, wait: bool, as_json: bool) -> None:
    """Rewrite days with statistics that mislead.

    Older versions wrote minimum and maximum of floats, which leave NaN out. The days get the same
    rows without these. It may be stopped and run again, also while tasks write.
    """
    from lake_api.cli.repair import run_repair

    run_repair(datasets, dry_run=dry_run, wait=wait, as_json=as_json)


@main.command("sample-data")
@click.option("--days", type=_POSITIVE, default=30, show_default=True, help="Days of events.")
@click.option(
    "--rows-per-day",
    type=_POSITIVE,
    default=2000,
    show_default=True,
    help="Rows of the busiest table on a weekday; the others follow.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Same seed, same rows.")
@click.option("--last-day", type=_DAY, help="Newest day; without it, yesterday in UTC.")
@click.option(
    "--database-url", help="The database to fill, in place of the one that `lake up` runs."
)
@_as_json
def sample_data(
    *,
    days: int,
    rows_per_day: int,
    seed: int,
    last_day: datetime | None,
    database_url: str | None,
    as_json: bool,
) -> None:
    """Fill the platform database with rows.

    They are realistic, and the same ones every time.

    The tables of an earlier sample are replaced; any other table of theirs is never touched.
    """
    from lake_api.cli.sample_data import run_sample_data

    run_sample_data(
        days=days,
        rows_per_day=rows_per_day,
        seed=seed,
        last_day=last_day.date() if last_day else None,
        database_url=database_url,
        as_json=as_json,
    )


@main.command()
def demo() -> None:
    """Show the whole way once.

    From rows in Postgres to answers over HTTP, with nothing left behind. It has a stack of its
    own: neither a running `lake up` nor your own servers are touched.
    """
    from lake_api.cli.demo import run_demo

    run_demo()


@main.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command("create")
@click.argument("name")
@click.option("--swarm", is_flag=True, help="A token that makes tokens of agents.")
@click.option("--datasets", multiple=True, help="Such as 'platform/*' or '!platform/billing*'.")
@click.option(
    "--allow", "operations", multiple=True, help="query, jobs, exports, …; all but trigger."
)
@click.option(
    "--limit", "limits", type=(str, int), multiple=True, help="Such as rows_per_day 100000."
)
@click.option("--expires-in-s", type=_POSITIVE, help="Seconds; 90 days for an agent's.")
@_as_json
@_api_url
def token_create(*, name: str, swarm: bool, **options: Any) -> None:
    """Make a token for NAME and print its text.

    Options that take several values are given several times.
    """
    from lake_api.cli.token import run_create

    run_create(name, kind="swarm" if swarm else "agent", **options)


@token.command("list")
@_as_json
@_api_url
def token_list(*, as_json: bool, api_url: str | None) -> None:
    """List tokens, newest first."""
    from lake_api.cli.token import run_list

    run_list(as_json=as_json, api_url=api_url)


@token.command("revoke")
@click.argument("token_id")
@_as_json
@_api_url
def token_revoke(*, token_id: str, as_json: bool, api_url: str | None) -> None:
    """Refuse the token with this id from now on."""
    from lake_api.cli.token import run_revoke

    run_revoke(token_id, as_json=as_json, api_url=api_url)


for _command in COMMANDS:
    main.add_command(_command)

"""`lake check-sources`.

Belongs here: running the check in a process of its own, and showing its findings.
Does not belong here: asking sources and comparing (`lake_assets.sources.check`): that process has
the clients and the keys, this one has neither.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

import click
import msgspec

from lake_api.cli import tables
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.running import find_running
from lake_api.cli.text import visible
from lake_api.nearest import did_you_mean
from lake_api.stack.process import child_environment
from lake_api.stack.state import project_root
from lake_assets.sources.config import UPSTREAMS

_GOOD = frozenset({"ok", "not configured"})
_SHOWN_NEW = 6


class Finding(msgspec.Struct):
    """What the check says of one dataset."""

    source: str
    dataset: str
    state: str
    reason: str
    missing: list[str]
    retyped: list[str]
    new: list[str]
    requests: int
    rows: int


def run_check_sources(sources: Sequence[str], *, as_json: bool) -> None:
    """Check and print; the exit code is 1 when a configured source can't be collected as it is.

    Raises:
        CommandFailed: there is no such source, or the check itself broke.
    """
    names = [upstream.name for upstream in UPSTREAMS]
    for source in sources:
        if source not in names:
            raise CommandFailed(
                f"there is no source `{visible(source)}`",
                hint=did_you_mean(source, names, otherwise=f"The sources are {', '.join(names)}."),
            )
    with live_line(tables.stderr()) as line:
        findings: list[Finding] = []
        for finding in _findings(sources):
            findings.append(finding)
            line(f"asked for {finding.dataset}", done=len(findings), total=0)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(findings)))
    else:
        _print(findings)
    if any(finding.state not in _GOOD for finding in findings):
        sys.exit(1)


def _findings(sources: Sequence[str]) -> Iterator[Finding]:
    """The findings, as they are found out."""
    command = [sys.executable, "-m", "lake_assets.sources.check"]
    command += [f"--source={source}" for source in sources]
    with subprocess.Popen(  # noqa: S603 - this program itself
        command, stdout=subprocess.PIPE, env=_environment(), cwd=project_root()
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for text in process.stdout:
            yield msgspec.json.decode(text, type=Finding)
    if process.returncode:
        raise CommandFailed(
            f"the check ended early (exit code {process.returncode})",
            hint="What it said stands above.",
        )


def _environment() -> Mapping[str, str]:
    """The settings of the running stack where there is one, else those of this shell."""
    state = find_running()
    return child_environment(os.environ, state.settings if state else None)


def _print(findings: Sequence[Finding]) -> None:
    console = tables.stdout()
    tables.print_rows(
        console,
        ("source", "dataset", "state", "requests", "rows"),
        [(each.source, each.dataset, each.state, each.requests, each.rows) for each in findings],
        column_types=("VARCHAR", "VARCHAR", "VARCHAR", "BIGINT", "BIGINT"),
    )
    for finding in findings:
        for text in _details(finding):
            click.echo(f"{finding.dataset}: {visible(text)}")


def _details(finding: Finding) -> Iterator[str]:
    if finding.reason:
        yield finding.reason
    yield from (f"missing {field}" for field in finding.missing)
    yield from (f"of another type {field}" for field in finding.retyped)
    if finding.new and finding.state != "not configured":
        more = len(finding.new) - _SHOWN_NEW
        rest = f" and {more} more (--json lists them)" if more > 0 else ""
        yield f"comes, but is not read: {', '.join(finding.new[:_SHOWN_NEW])}{rest}"

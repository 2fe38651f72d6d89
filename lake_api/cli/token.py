"""`lake token create|list|revoke`.

Belongs here: asking for tokens and showing them.
Does not belong here: what a token may be (the service knows).
"""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.table import Table

from lake_api.cli import tables
from lake_api.cli.client import LakeClient, connect
from lake_api.cli.text import visible
from lake_api.tokens.schemas import TokenInfo


def run_create(
    name: str,
    *,
    kind: str,
    datasets: Sequence[str],
    operations: Sequence[str],
    limits: Sequence[tuple[str, int]],
    expires_in_s: int | None,
    as_json: bool,
    api_url: str | None,
) -> None:
    """Make a token and print its text: alone on standard output, so that it can be kept.

    Raises:
        CommandFailed: the service refused.
    """
    wanted: dict[str, Any] = {"kind": kind, "name": name, "limits": dict(limits)}
    if datasets:
        wanted["datasets"] = list(datasets)
    if operations:
        wanted["operations"] = list(operations)
    if expires_in_s is not None:
        wanted["expires_in_s"] = expires_in_s
    with _connect(api_url) as client:
        made = client.create_token(wanted)
    if as_json:
        click.echo(msgspec.json.encode(made))
        return
    click.echo(made.token)
    end = f"until {_moment(made.expires_at)}" if made.expires_at else "without end"
    click.echo(
        f"{made.kind} `{visible(made.name)}` ({made.id}) may {', '.join(made.operations)} over "
        f"{', '.join(made.datasets)} {end}. The token is shown this once.",
        err=True,
    )


def run_list(*, as_json: bool, api_url: str | None) -> None:
    """Print the tokens, newest first.

    Raises:
        CommandFailed: the service refused.
    """
    with _connect(api_url) as client:
        found = client.tokens()
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not found.tokens:
        click.echo("There is no token; `lake token create NAME` makes one.")
        return
    table = Table("id", "kind", "name", "datasets", "operations", "state", "expires", box=None)
    for one in found.tokens:
        table.add_row(*_cells(one))
    tables.stdout().print(table)


def run_revoke(token_id: str, *, as_json: bool, api_url: str | None) -> None:
    """Refuse a token from now on.

    Raises:
        CommandFailed: the service refused, or has no such token.
    """
    with _connect(api_url) as client:
        revoked = client.revoke_token(token_id)
    if as_json:
        click.echo(msgspec.json.encode(revoked))
        return
    click.echo(f"{revoked.kind} `{visible(revoked.name)}` ({revoked.id}) is revoked")


def _connect(api_url: str | None) -> LakeClient:
    """As the swarm whose token is in `LAKE_TOKEN`, or else as the admin."""
    return connect(api_url, admin=not os.environ.get("LAKE_TOKEN"))


def _cells(one: TokenInfo) -> tuple[str, ...]:
    return (
        str(one.id),
        one.kind,
        visible(one.name),
        " ".join(one.datasets),
        " ".join(one.operations),
        one.state,
        _moment(one.expires_at) if one.expires_at else "never",
    )


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

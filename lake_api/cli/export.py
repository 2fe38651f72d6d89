"""`lake export`.

Belongs here: asking for a file of rows, waiting for it, and downloading it whole or not at all.
Does not belong here: jobs without a file (`jobs`).
"""

from collections.abc import Mapping
from pathlib import Path

import click
import httpx

from lake_api.cli.client import LakeClient, connect
from lake_api.cli.failure import CommandFailed
from lake_api.cli.jobs import refuse_failure, until_over, waiting
from lake_api.cli.problem import refusals
from lake_api.exports.schemas import ExportInfo
from lake_assets.catalog.proxies import proxy_for

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def run_export(
    body: Mapping[str, str | int],
    *,
    job_id: str | None,
    output: Path | None,
    as_json: bool,
    api_url: str | None,
) -> None:
    """Ask for the file, wait for it, and put it to `output` (or below its own name, here).

    Raises:
        CommandFailed: the service refused, the export failed, or the file can't be had.
    """
    if output is not None:
        _refuse_existing(output)
    path = "/exports" if job_id is None else f"/jobs/{job_id}/exports"
    with connect(api_url) as client, refusals(as_json=as_json, sql=str(body.get("sql", ""))):
        export, told = client.ask("POST", path, ExportInfo, body=body)
        with waiting(f"export {export.id}") as line:
            export, told = until_over(lambda: _look(client, str(export.id)), line)
    if as_json:
        click.echo(told)
    refuse_failure(f"export {export.id}", export.state, export.error)
    if export.url is None or export.file_name is None:
        raise CommandFailed(f"export {export.id} has no file", hint="Ask for it again.")
    target = output or Path(Path(export.file_name).name)
    _refuse_existing(target)
    size = _download(export.url, target)
    more = "; there were more rows" if export.truncated else ""
    click.echo(f"{target}: {export.row_count or 0:,} rows, {size:,} bytes{more}", err=as_json)


def _look(client: LakeClient, export_id: str) -> tuple[ExportInfo, bytes]:
    return client.ask("GET", f"/exports/{export_id}", ExportInfo)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise CommandFailed(f"{target} is there already", hint="Choose another --output.")


def _download(url: str, target: Path) -> int:
    """The file, whole or not at all; how many bytes it has."""
    part = target.with_name(f"{target.name}.part")
    try:
        # The link says who may read: nothing that this command knows goes to another server.
        with (
            httpx.Client(timeout=_TIMEOUT, trust_env=False, proxy=proxy_for(url)) as storage,
            storage.stream("GET", url) as answer,
            part.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_raw():
                file.write(chunk)
        size = part.stat().st_size
        part.rename(target)
    except httpx.HTTPError as error:
        raise CommandFailed(
            "the file could not be downloaded", hint="`--json` shows its link; try it again."
        ) from error
    except OSError as error:
        raise CommandFailed(
            f"{target} can't be written: {error.strerror}", hint="Choose another --output."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return size

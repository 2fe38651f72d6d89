"""`lake doctor`: what a person who helps would ask for, without a secret.

Belongs here: the sections, how they are printed, what is advised.
Does not belong here: finding facts out (`doctor_facts`, `doctor_lake`), hiding secrets (`secrets`).
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from lake_api.cli import doctor_facts as facts
from lake_api.cli import doctor_lake as lake
from lake_api.cli import tables
from lake_api.cli.doctor_facts import Advice, Case
from lake_api.cli.secrets import Scrubber, secrets_of
from lake_api.cli.text import visible
from lake_api.stack.state import default_home, project_root
from lake_assets.sources.config import UPSTREAMS

_LINE_CHARS = 400

_SECTIONS: Mapping[str, Callable[[Case, list[Advice]], Mapping[str, Any]]] = {
    "versions": facts.versions,
    "system": facts.system,
    "paths": facts.paths,
    "limits": facts.limits,
    "proxies": facts.proxies,
    "ports": lake.ports,
    "language": facts.language,
    "settings": lake.settings,
    "parts": lake.parts,
    "last errors": lake.last_errors,
}


def run_doctor(*, as_json: bool) -> None:
    """Print every section, then advice; exit code 1 when something is wrong."""
    report = examine(os.environ, home=default_home(project_root()), root=project_root())
    if as_json:
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print(report)
    if report["advice"]:
        sys.exit(1)


def examine(env: Mapping[str, str], *, home: Path, root: Path) -> dict[str, Any]:
    """All facts and advice, without secrets. A section that can't be read says why."""
    advice: list[Advice] = []
    case = facts.case_of(env, home=home, root=root, advice=advice)
    report: dict[str, Any] = {}
    for name, read in _SECTIONS.items():
        try:
            report[name] = read(case, advice)
        except Exception as error:  # noqa: BLE001 - the other sections are wanted all the more
            report[name] = {"could not be read": facts.said(error)}
    report["advice"] = [{"problem": one.problem, "do": one.do} for one in advice]
    clean = _scrubber(case).document(report)
    # Cut once they are clean: half of a secret is known by nothing.
    errors = clean["last errors"]
    clean["last errors"] = {
        name: [line[:_LINE_CHARS] for line in lines] if isinstance(lines, list) else lines
        for name, lines in errors.items()
    }
    return clean


def _scrubber(case: Case) -> Scrubber:
    names = [one.name for source in UPSTREAMS for one in source.settings if one.secret]
    settings = case.state.settings if case.state else {}
    owner = {"OWNER_URL": (case.state.owner_database_url or "") if case.state else ""}
    return Scrubber(
        [
            *secrets_of(case.env, names=names),
            *secrets_of(settings, names=names),
            *secrets_of(owner),
            *lake.secret_files(case),
        ]
    )


def _print(report: Mapping[str, Any]) -> None:
    console = tables.stdout()
    for name in _SECTIONS:
        console.print(f"\n{name}", style="bold")
        tables.print_facts(console, [(key, _plain(value)) for key, value in report[name].items()])
    console.print()
    if not report["advice"]:
        console.print("Nothing that is known to be wrong was found.", style="green")
    for one in report["advice"]:
        console.print(visible(one["problem"]), style="red")
        console.print(f"  {visible(one['do'])}")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, list):
        return "\n".join(_plain(one) for one in value) or "none"
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return visible(str(value))

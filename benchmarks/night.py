"""How long a night takes: every schedule of one day at once, on a lake with sample data.

Belongs here: firing the schedules of a night on parts of its own, and the table by run.
Does not belong here: how one dataset is written (`benchmarks.export`).

All schedules are fired in the same second, weekly ones too, where a real night spreads them over
hours: it is the work of a night at its worst. Outside sources are stand-ins on loopback. Derived
datasets are not fired: the sensor that runs them when their inputs have come is switched on.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from lake_api.cli.demo import own_environment
from lake_api.stack.ports import free_ports
from lake_api.stack.postgres import EmbeddedPostgres
from lake_api.stack.state import StackState, project_root
from lake_api.stack.supervisor import Ports, Supervisor
from lake_assets.catalog import Dataset, Kind, load_catalog
from lake_assets.catalog.due import ticks
from lake_assets.orchestration.automation import SENSOR_NAME
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.schedules import build_schedules, run_request
from lake_assets.sample_data import SampleSpec, load_sample_data

BAR_S = 240.0
_REPOSITORY = {"repositoryLocationName": "lake_assets", "repositoryName": "__repository__"}
_DEADLINE_S = 900.0
_POLL_S = 3.0
_SAMPLE_S = 0.25

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_START_SENSOR = """
mutation Start($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename ... on PythonError { message } }
}
"""
_RUNS = """
query Runs {
  runsOrError {
    __typename
    ... on Runs {
      results {
        runId jobName status creationTime startTime endTime
        assetSelection { path }
        stats { ... on RunStatsSnapshot { materializations } }
      }
    }
  }
}
"""
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRun:
    """One run of the night. It waited for a place, then for its process, then it worked."""

    job: str
    status: str
    datasets: int
    days: int
    waited_s: float
    ran_s: float
    ended_s: float


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table by run, and write JSON where asked; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks night", description=__doc__)
    parser.add_argument("--rows-per-day", type=int, default=2000)
    parser.add_argument("--sample-days", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with _stack() as state:
        _fill(state, rows_per_day=options.rows_per_day, days=options.sample_days)
        with _cpu_seconds() as cpu_s:
            load = os.getloadavg()[0]
            wall_s, runs = _night(state)
        written = _partitions(state)
    result = {
        "wall_s": wall_s,
        "load_before": load,
        "cpu_s": cpu_s,
        "datasets": len(written),
        "runs": [asdict(run) for run in runs],
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    return _report(result, runs, written)


@contextmanager
def _stack() -> Generator[StackState]:
    home = Path(tempfile.mkdtemp(prefix="lake-night-"))
    api, dagster, code, s3, postgres = free_ports(5)
    supervisor = Supervisor(
        home=home,
        root=project_root(),
        env=own_environment(os.environ, home),
        ports=Ports(api=api, dagster=dagster, code=code, s3=s3, postgres=postgres),
        schedules=False,
        with_fakes=True,
        on_event=lambda text: print(text, file=sys.stderr),
    )
    try:
        yield supervisor.start()
    finally:
        supervisor.stop()
        EmbeddedPostgres(home / "postgres").discard()
        shutil.rmtree(home)


def _fill(state: StackState, *, rows_per_day: int, days: int) -> None:
    assert state.owner_database_url is not None
    yesterday = datetime.now(tz=UTC).date() - timedelta(days=1)
    spec = SampleSpec(last_day=yesterday, days=days, rows_per_day=rows_per_day)
    load_sample_data(state.owner_database_url, load_catalog(), spec)


def _night(state: StackState) -> tuple[float, Sequence[NightRun]]:
    with httpx.Client(base_url=state.dagster_url, timeout=60, trust_env=False) as dagster:
        before = {run["runId"] for run in _runs(dagster)}
        selector = {**_REPOSITORY, "sensorName": SENSOR_NAME}
        _ask(dagster, _START_SENSOR, {"selector": selector})
        started = time.time()
        launched = [_launch(dagster, *one) for one in _ticks_of_a_night()]
        derived = {dataset.partition for dataset in load_catalog() if dataset.kind is Kind.DERIVED}
        deadline = started + _DEADLINE_S
        while True:
            time.sleep(_POLL_S)
            runs = [run for run in _runs(dagster) if run["runId"] not in before]
            seen = {"/".join(key["path"]) for run in runs for key in run["assetSelection"] or ()}
            ended = all(run["status"] in _ENDED for run in runs)
            if ended and len(runs) >= len(launched) and derived <= seen:
                break
            if time.time() > deadline:
                print("the night did not end in time", file=sys.stderr)
                break
        found = sorted((_night_run(run, started) for run in runs), key=lambda run: -run.ran_s)
        return max(run.ended_s for run in found), found


def _ticks_of_a_night() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each schedule that is not for derived datasets: its job, and the tags of its run."""
    today = datetime.now(tz=UTC).date()
    catalog = load_catalog()
    by_task = {dataset.daily_task: dataset for dataset in catalog}
    for schedule in build_schedules(catalog, running=True, env={}):
        assert schedule.description
        task = schedule.description.removeprefix("Runs ").removesuffix(".").split(", ")[0]
        dataset = by_task[task]
        if dataset.kind is not Kind.DERIVED:
            request = run_request(dataset.schedule, _last_tick(dataset, today))
            tags = dict(request.tags)
            if request.partition_key:
                tags["dagster/partition"] = request.partition_key
            yield schedule.name, tags


def _last_tick(dataset: Dataset, today: date) -> datetime:
    if dataset.schedule.newest_lag_d == 0:
        # What shows the state of its day is asked for today, whatever the weekday.
        return datetime.combine(today, datetime.min.time(), tzinfo=UTC)
    return ticks(dataset.schedule, today - timedelta(days=7), today)[-1]


def _launch(dagster: httpx.Client, job: str, tags: Mapping[str, str]) -> str:
    params = {
        "selector": {**_REPOSITORY, "jobName": job},
        "executionMetadata": {
            "tags": [{"key": key, "value": value} for key, value in tags.items()]
        },
    }
    result = _ask(dagster, _LAUNCH, {"params": params})["launchRun"]
    if result["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(f"{job} was not launched: {result}")
    return job


def _runs(dagster: httpx.Client) -> Sequence[Mapping[str, Any]]:
    return _ask(dagster, _RUNS, {})["runsOrError"]["results"]


def _ask(dagster: httpx.Client, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    answer = dagster.post("/graphql", json={"query": document, "variables": variables})
    return answer.raise_for_status().json()["data"]


def _night_run(run: Mapping[str, Any], started: float) -> NightRun:
    begun = run["startTime"] or run["endTime"] or time.time()
    ended = run["endTime"] or time.time()
    keys = ["/".join(key["path"]) for key in run["assetSelection"] or ()]
    name = run["jobName"] if not run["jobName"].startswith("__") else ", ".join(keys)
    return NightRun(
        job=name,
        status=run["status"],
        datasets=len(keys) or _size_of(run["jobName"]),
        days=(run["stats"] or {}).get("materializations") or 0,
        waited_s=begun - run["creationTime"],
        ran_s=ended - begun,
        ended_s=ended - started,
    )


def _size_of(job: str) -> int:
    defs = build_defs(catalog=load_catalog(), env={})
    return len(list(defs.resolve_job_def(job).asset_layer.executable_asset_keys))


def _partitions(state: StackState) -> frozenset[str]:
    """The datasets that have a partition now."""
    query = "{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { runId } } }"
    with httpx.Client(base_url=state.dagster_url, timeout=60, trust_env=False) as dagster:
        nodes = _ask(dagster, query, {})["assetNodes"]
    return frozenset(
        "/".join(node["assetKey"]["path"]) for node in nodes if node["assetMaterializations"]
    )


@contextmanager
def _cpu_seconds() -> Generator[Mapping[str, float]]:
    """CPU seconds of all processes of the stack while the block runs, by what they are."""
    total: dict[str, float] = {}
    first: dict[int, float] = {}
    last: dict[int, tuple[str, float]] = {}
    stopping = threading.Event()

    def look() -> None:
        for process in psutil.Process().children(recursive=True):
            try:
                used = process.cpu_times()
                seconds = used.user + used.system
                first.setdefault(process.pid, seconds if not last else 0.0)
                last[process.pid] = (_part_of(process), seconds)
            except psutil.NoSuchProcess:
                continue

    def watch() -> None:
        while not stopping.wait(_SAMPLE_S):
            look()

    look()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield total
    finally:
        stopping.set()
        watcher.join()
        sums: dict[str, float] = defaultdict(float)
        for pid, (part, seconds) in last.items():
            sums[part] += seconds - first[pid]
        total.update(sums)


def _part_of(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    for word, part in (
        ("dagster._daemon", "daemon"),
        ("orchestration.webserver", "webserver"),
        ("dagster-webserver", "webserver"),
        ("api grpc", "code server"),
        ("multiprocessing", "runs"),
        ("lake_api.serve", "api"),
        ("weed", "s3"),
        ("postgres", "postgres"),
        ("fakes", "stand-ins"),
    ):
        if word in command:
            return part
    return "other"


def _report(result: Mapping[str, Any], runs: Sequence[NightRun], written: frozenset[str]) -> int:
    table = Table(title="A night, all schedules at once")
    for heading in ("run", "state", "datasets", "days", "waited s", "ran s", "ended after s"):
        table.add_column(heading, justify="left" if heading in {"run", "state"} else "right")
    for run in runs:
        table.add_row(
            *(run.job, run.status.lower(), str(run.datasets), str(run.days)),
            *(f"{run.waited_s:.1f}", f"{run.ran_s:.1f}", f"{run.ended_s:.1f}"),
        )
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(table)
    cpu_s: Mapping[str, float] = result["cpu_s"]
    parts = ", ".join(f"{part} {seconds:.0f}" for part, seconds in sorted(cpu_s.items()))
    missing = sorted({dataset.partition for dataset in load_catalog()} - written)
    failed = [run.job for run in runs if run.status != "SUCCESS"]
    console.print(f"load before: {result['load_before']:.1f} on {os.cpu_count()} processors")
    console.print(f"CPU seconds: {sum(cpu_s.values()):.0f} ({parts})")
    console.print(f"datasets with a day: {len(written)}; without: {', '.join(missing) or 'none'}")
    console.print(f"failed runs: {', '.join(failed) or 'none'}")
    floor_s = sum(cpu_s.values()) / 2
    console.print(f"wall: {result['wall_s']:.0f} s (bar: under {BAR_S:.0f} s)")
    console.print(f"on two processors that do nothing else, at least {floor_s:.0f} s")
    return 0 if result["wall_s"] < BAR_S and not failed and not missing else 1

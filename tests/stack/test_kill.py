"""Parts that are killed in the middle of a run: every day is there in the end, whole and once."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import psutil
import psycopg
import pyarrow.parquet as pq
import pytest

from lake_api.cli.dagster_http import DagsterHttp
from lake_api.stack.state import read_state
from lake_api.tasks.dagster import CODE_LOCATION, REPOSITORY
from lake_assets.catalog import LakeLocation, data_key, dataset_prefix, load_catalog
from lake_assets.storage.store import LakeStore
from tests.conftest import boto3_client
from tests.stack.test_up import Command

DAYS = 80
WILL_NOT_RETRY = {"key": "dagster/will_retry", "value": "false"}
DATASETS = ("rlhf_signals", "cli_telemetry")
RUNS = """
query Runs {
  runsOrError { ... on Runs { results {
    runId status tags { key value } stats { ... on RunStatsSnapshot { materializations } }
  } } }
}
"""
LOG = """
query Log($id: ID!) {
  logsForRun(runId: $id) {
    ... on EventConnection { events { ... on MessageEvent { message } } }
  }
}
"""


@dataclass
class Night:
    """A stack that runs, and what a test does to it."""

    command: Command
    state: dict[str, Any]

    def ask(self, document: str, **variables: str) -> dict[str, Any]:
        body = {"query": document, "variables": variables}
        url = f"{self.state['dagster_url']}/graphql"
        return httpx.post(url, json=body, timeout=30).raise_for_status().json()["data"]

    def runs(self) -> dict[str, dict[str, Any]]:
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}

    def launch(self, first: date, last: date) -> str:
        catalog = load_catalog()
        tags = {
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        }
        selector = {
            "repositoryName": REPOSITORY,
            "repositoryLocationName": CODE_LOCATION,
            "jobName": "platform_events",
            "assetSelection": [{"path": list(catalog[name].asset_key)} for name in DATASETS],
        }
        with DagsterHttp(self.state["dagster_url"], hint="") as dagster:
            return dagster.launch_run(selector, tags)

    def written(self, run_id: str) -> int:
        return (self.runs()[run_id]["stats"] or {}).get("materializations") or 0

    def process_of(self, run_id: str) -> psutil.Process:
        events = self.ask(LOG, id=run_id)["logsForRun"]["events"]
        said = "\n".join(event.get("message", "") for event in events)
        found = re.search(r"Started process for run \(pid: (\d+)\)", said)
        assert found, said
        return psutil.Process(int(found[1]))

    def kill(self, part: str) -> None:
        psutil.Process(self.command.status()["parts"][part]["pid"]).kill()

    def retry_of(self, run_id: str) -> dict[str, Any]:
        """The run that goes on for one that was lost."""
        tag = {"key": "dagster/root_run_id", "value": run_id}
        found = (run for run in self.runs().values() if tag in run["tags"])
        return next(found, {"status": "not launched yet"})


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


TERMINATE = """
mutation Terminate($id: String!) {
  terminateRun(runId: $id) { __typename ... on PythonError { message } }
}
"""
# Sessions of other roles hide what they do; what they wait for, everybody sees.
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    command = Command(tmp_path_factory.mktemp("kill") / "state")
    try:
        state = command.up()
        filled = command("sample-data", "--days", "1", "--rows-per-day", "50")
        assert filled.returncode == 0, filled.stderr
        yield Night(command, state)
    finally:
        command("down")
        shutil.rmtree(command.home)


def assert_each_day_once_and_whole(night: Night, first: date, last: date) -> None:
    secrets = dict(
        line.removeprefix("export ").split("=", 1)
        for line in night.command("env").stdout.splitlines()
    )
    location = LakeLocation.from_mapping(secrets)
    client, store = boto3_client(location), LakeStore(location)
    days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
    for name in DATASETS:
        dataset = load_catalog()[name]
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=location.bucket, Prefix=dataset_prefix(dataset)
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        assert set(keys) >= {data_key(dataset, day) for day in days}
        assert len(
            [key for key in keys if first.isoformat() <= key[-23:-13] <= last.isoformat()]
        ) == len(days)
        for day in days:
            with store.open(data_key(dataset, day)) as file:
                assert pq.read_schema(file).names == list(dataset.column_names)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=location.bucket)


def test_a_run_that_waits_for_a_lock_is_terminated_with_its_statement(night: Night) -> None:
    state = read_state(night.command.home)
    assert state is not None
    url = state.owner_database_url or ""
    yesterday = datetime.now(tz=UTC).date() - timedelta(days=1)
    with (
        psycopg.connect(url) as locking,
        psycopg.connect(url, autocommit=True) as watching,
    ):
        locking.execute(f"LOCK TABLE {DATASETS[0]} IN ACCESS EXCLUSIVE MODE")

        def is_waiting() -> bool:
            return watching.execute(WAITING).fetchone() != (0,)

        run_id = night.launch(yesterday, yesterday)
        assert within(60, is_waiting)
        said = night.ask(TERMINATE, id=run_id)["terminateRun"]["__typename"]
        assert said == "TerminateRunSuccess"
        assert within(8, lambda: night.runs()[run_id]["status"] == "CANCELED")
        assert within(2, lambda: not is_waiting())
    assert night.retry_of(run_id)["status"] == "not launched yet"


def test_a_night_outlives_whatever_is_killed(night: Night) -> None:
    """S3 and the daemon first; then the run, with the code server that would have noticed."""
    last = datetime.now(tz=UTC).date() - timedelta(days=1)
    first = last - timedelta(days=DAYS - 1)
    run_id = night.launch(first, last)
    assert within(60, lambda: night.written(run_id) > 2)
    night.kill("s3")
    night.kill("dagster-daemon")
    before = night.written(run_id)
    assert within(60, lambda: night.written(run_id) > before + 2), "it goes on with the next S3"

    # Nobody starts the code server again before Dagster has tried to retry the run without one.
    status = night.command.status()
    supervisor = psutil.Process(status["pid"])
    code_server = psutil.Process(status["parts"]["dagster-code"]["pid"])
    process = night.process_of(run_id)
    supervisor.suspend()
    try:
        code_server.kill()
        process.kill()
        assert night.runs()[run_id]["status"] == "STARTED", "the run was too short to be killed"
        refused = within(30, lambda: WILL_NOT_RETRY in night.runs()[run_id]["tags"])
    finally:
        supervisor.resume()
    assert within(60, lambda: night.retry_of(run_id)["status"] != "not launched yet")
    assert within(90, lambda: night.retry_of(run_id)["status"] == "SUCCESS"), refused
    assert_each_day_once_and_whole(night, first, last)

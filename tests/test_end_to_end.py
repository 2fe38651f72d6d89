"""The lake as its users meet it: Postgres → Dagster → S3 Parquet → guarded SQL over HTTP."""

import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lake_api.stack import supervisor as supervisor_module
from lake_api.stack.ports import LOOPBACK, choose_port
from lake_api.stack.state import StackState
from lake_api.stack.supervisor import Supervisor
from lake_assets.catalog import load_catalog
from lake_assets.sample_data import SampleSpec, late_rows, load_sample_data
from lake_assets.sources.config import UPSTREAMS, setting_names

TODAY = datetime.now(tz=UTC).date()
DAYS = 6
RUN_S = 90.0
BACKFILL_S = 150.0


@dataclass
class Lake:
    """A running stack, as its callers see it."""

    state: StackState
    api: httpx.Client
    admin: dict[str, str]

    def query(self, sql: str, **body: Any) -> dict[str, Any]:
        answer = self.api.post("/api/v1/internal/lake/query", json={"sql": sql, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def trigger(self, task: str, **kwargs: str) -> str:
        answer = self.api.post(
            "/api/v1/internal/tasks/trigger",
            json={"task": task, "kwargs": kwargs},
            headers=self.admin,
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["task"] == task
        assert answer.json()["status"] == "queued"
        return answer.json()["task_id"]

    def task(self, task_id: str) -> dict[str, Any]:
        answer = self.api.get(f"/api/v1/internal/tasks/{task_id}", headers=self.admin)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finish(self, task_id: str, *, timeout_s: float = RUN_S) -> dict[str, Any]:
        return until(
            lambda: self.task(task_id),
            lambda state: state["status"] not in {"queued", "running"},
            timeout_s=timeout_s,
        )

    def graphql(self, document: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.state.dagster_url}/graphql",
            json={"query": document, "variables": variables},
            timeout=30.0,
        )
        return answer.raise_for_status().json()["data"]


def until(
    read: Callable[[], Any], holds: Callable[[Any], bool], *, timeout_s: float = RUN_S
) -> Any:
    """What `read` gives once it holds; the last reading fails the test when time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = read()
        if holds(value):
            return value
        assert time.monotonic() < deadline, value
        time.sleep(0.1)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment as a company's machine may have it; no part may mind."""
    long = tmp_path_factory.mktemp("temp") / ("with-a-long-name" * 7)
    long.mkdir()
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "grpc_proxy")
    return {
        **os.environ,
        **dict.fromkeys(proxies, "http://127.0.0.1:9"),
        "NO_PROXY": "corp.example",
        "no_proxy": "corp.example",
        "TMPDIR": str(long),
        "PYTHONPATH": str(long),
        "AWS_PROFILE": "not-there",
        "AWS_SESSION_TOKEN": "not-ours",
        "PGHOSTADDR": "10.0.0.1",
        "TZ": "Pacific/Kiritimati",
    }


class Thief:
    """Somebody who is quicker: once, a port is taken as soon as it was chosen."""

    def __init__(self, number: int) -> None:
        self.server: socket.socket | None = None
        self._left = number

    def choose(self, preferred: int, *, taken: Collection[int] = ()) -> int:
        port = choose_port(preferred, taken=taken)
        self._left -= 1
        if self._left == 0:
            self.server = socket.create_server((LOOPBACK, port))
        return port


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def lake(
    tmp_path_factory: pytest.TempPathFactory,
    project_root: Path,
    hostile: dict[str, str],
    said: list[str],
) -> Iterator[Lake]:
    supervisor = Supervisor(
        home=tmp_path_factory.mktemp("lake"),
        root=project_root,
        env=hostile,
        schedules=False,
        with_fakes=True,
        source_settings=setting_names(),
        on_event=said.append,
    )
    # The second port that the stack chooses is that of Dagster's web server.
    thief = Thief(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor_module, "choose_port", thief.choose)
        state = supervisor.start()
    try:
        assert thief.server is not None
        assert state.owner_database_url is not None
        spec = SampleSpec(last_day=TODAY, days=DAYS, rows_per_day=200)
        load_sample_data(state.owner_database_url, load_catalog(), spec)
        key = Path(state.internal_api_key_file).read_text().strip()
        with httpx.Client(base_url=state.api_url, timeout=60.0) as api:
            yield Lake(state=state, api=api, admin={"X-Internal-API-Key": key})
    finally:
        supervisor.stop()
        if thief.server is not None:
            thief.server.close()


def test_a_port_that_somebody_else_was_quicker_to_take_is_replaced(lake, said):
    taken = [line for line in said if line.startswith("another program took port")]
    assert len(taken) == 1
    assert lake.state.dagster_url.rpartition(":")[2] not in taken[0]


def day(ago: int) -> str:
    return (TODAY - timedelta(days=ago)).isoformat()


def test_every_part_is_ready(lake):
    answer = lake.api.get("/readyz")

    assert answer.status_code == 200
    assert {name: part["ok"] for name, part in answer.json()["parts"].items()} == {
        "storage": True,
        "workers": True,
        "dagster": True,
        "cache": True,
        "database": True,
    }


def test_a_triggered_day_is_in_the_answer_a_second_after_its_run(lake):
    sql = f"SELECT count(*) AS runs FROM agent_run_log WHERE date = '{day(1)}'"
    before = lake.query(sql)
    assert before["rows"] == [[0]]
    assert before["warnings"]

    state = lake.finish(lake.trigger("lake.export_agent_run_log", date=day(1)))
    assert state["status"] == "succeeded", state
    assert state["partitions"] == {"total": 1, "done": 1, "failed": 0}

    after = until(lambda: lake.query(sql), lambda answer: answer["rows"][0][0] > 0, timeout_s=1.0)
    assert after["source"] == "lake"
    assert after["partition"] == "agent_run_log"
    assert after["freshness"][0]["newest_day"] == day(1)


def test_late_rows_are_in_the_answer_after_the_next_run(lake):
    sql = f"SELECT count(*) AS calls FROM mcp_request_logs WHERE date = '{day(2)}'"
    lake.finish(lake.trigger("lake.export_mcp_request_logs", date=day(2)))
    (before,) = until(lambda: lake.query(sql)["rows"], lambda rows: rows[0][0] > 0, timeout_s=1.0)

    added = late_rows(
        lake.state.owner_database_url,
        load_catalog(),
        date.fromisoformat(day(2)),
        7,
        partitions=["mcp_request_logs"],
    )
    assert added["mcp_request_logs"] == 7
    lake.finish(lake.trigger("lake.export_mcp_request_logs", date=day(2)))

    until(
        lambda: lake.query(sql)["rows"],
        lambda rows: rows == [[before[0] + 7]],
        timeout_s=1.0,
    )


def test_a_range_is_one_backfill_and_one_run(lake):
    task_id = lake.trigger("lake.backfill_llm_token_usage", start_date=day(5), end_date=day(1))

    state = lake.finish(task_id, timeout_s=BACKFILL_S)

    assert state["status"] == "succeeded", state
    assert state["partitions"] == {"total": 5, "done": 5, "failed": 0}
    runs = lake.graphql(
        'query($id: String!) { runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]})'
        " { ... on Runs { results { status } } } }",
        id=task_id,
    )["runsOrError"]["results"]
    assert [run["status"] for run in runs] == ["SUCCESS"]
    answer = until(
        lambda: lake.query("SELECT count(DISTINCT date) AS days FROM platform_llm_token_usage"),
        lambda answer: answer["rows"] == [[5]],
        timeout_s=1.0,
    )
    assert answer["column_types"] == ["BIGINT"]


def test_a_snapshot_is_written_for_today(lake):
    state = lake.finish(lake.trigger("lake.export_agent_instances"))

    assert state["status"] == "succeeded", state
    answer = until(
        lambda: lake.query("SELECT max(date) AS day, count(*) AS n FROM platform_agent_instances"),
        lambda answer: answer["rows"][0][1] > 0,
        timeout_s=1.0,
    )
    assert answer["rows"][0][0] == TODAY.isoformat()


@pytest.mark.parametrize(
    ("task", "table"),
    [
        ("lake.collect_scc_fred_indicators", "external_scc_fred_indicators"),
        ("lake.export_stripe_events", "stripe_events"),
    ],
)
def test_an_outside_source_is_collected_without_any_key(lake, task, table):
    assert not [upstream.name for upstream in UPSTREAMS if upstream.why_not(lake.state.settings)]

    state = lake.finish(lake.trigger(task))

    assert state["status"] == "succeeded", state
    until(
        lambda: lake.query(f"SELECT count(*) AS n FROM {table}")["rows"][0][0],
        lambda rows: rows > 0,
        timeout_s=1.0,
    )


def test_the_bucket_has_its_rule_from_the_start(lake):
    state = lake.finish(lake.trigger("lake.ensure_bucket"))

    assert state["status"] == "succeeded", state


def test_the_ui_shows_every_group_and_asset(lake):
    data = lake.graphql(
        "{ assetNodes { groupName description hasMaterializePermission assetKey { path } } }"
    )

    catalog = load_catalog()
    paths = {"/".join(node["assetKey"]["path"]) for node in data["assetNodes"]}
    assert paths == {dataset.partition for dataset in catalog}
    groups = {node["groupName"] for node in data["assetNodes"]}
    assert groups == {group.lower().replace(" ", "_") for group in catalog.groups}
    assert all(node["description"] for node in data["assetNodes"])
    assert httpx.get(lake.state.dagster_url, timeout=30.0).status_code == 200


def test_the_read_side_holds_no_key_that_can_write(lake):
    api = next(part for part in lake.state.parts if part.name == "api")
    environment = Path(f"/proc/{api.pid}/environ")
    if not environment.exists():
        pytest.skip("needs /proc to see another process's environment")
    secrets = environment.read_bytes()

    assert lake.state.settings["MINIO_SECRET_KEY"].encode() not in secrets
    assert b"PLATFORM_DATABASE_URL" not in secrets
    assert lake.state.settings["FRED_API_KEY"].encode() not in secrets
    assert lake.state.settings["LAKE_READER_SECRET_KEY"].encode() in secrets

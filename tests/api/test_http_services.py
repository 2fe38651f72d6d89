"""Services over HTTP: which there are, how they stand, and that commands do what they say."""

import time
from datetime import date
from typing import Any

import obstore
import pytest

from lake_api.query.reader_store import open_small
from lake_assets.catalog import data_key
from tests.api.conftest import ADMIN
from tests.api.test_http_tasks import EVENT, RUN_ID, events, failure, launched_run, run

SERVICES = "/api/v1/internal/lake/services"
OPERATIONS = "/api/v1/internal/lake/operations"
READY = {"repositoryOrError": {"__typename": "Repository"}}
DAY = date(2026, 11, 21)
COUNT = "SELECT count(*) FROM agent_run_log"


def command(client: Any, service: str, name: str, payload: Any = None, **headers: str) -> Any:
    return client.post(
        f"{SERVICES}/{service}/commands/{name}/run",
        json={"payload": payload},
        headers={**ADMIN, **headers},
    )


def ended(client: Any, operation_id: str) -> dict[str, Any]:
    """The operation, once it is not pending any more."""
    end = time.monotonic() + 30
    while True:
        told = client.get(f"{OPERATIONS}/{operation_id}", headers=ADMIN).json()
        if told["status"] != "pending":
            return told
        assert time.monotonic() < end, told
        time.sleep(0.05)


def outcome(client: Any, service: str, name: str, payload: Any = None) -> dict[str, Any]:
    accepted = command(client, service, name, payload)
    assert accepted.status_code == 202, accepted.text
    operation_id = accepted.headers["operation-id"]
    assert accepted.headers["operation-location"] == f"{OPERATIONS}/{operation_id}"
    assert accepted.json()["id"] == operation_id
    told = ended(client, operation_id)
    assert told["kind"] == "run-service-command"
    return told


def test_services_are_listed_by_page(service: Any, problem: Any):
    def listed(query: str) -> Any:
        return service.client.get(f"{SERVICES}{query}", headers=ADMIN)

    assert [one["id"] for one in listed("").json()["services"]] == ["storage", "engine", "dagster"]
    assert "totalCount" not in listed("").json()
    page = listed("?size=1&offset=1&metaInclude=page").json()
    assert page == {"services": [{"id": "engine", "name": "Query engine"}], "totalCount": 3}
    assert listed("?offset=3&metaInclude=page").json() == {"services": [], "totalCount": 3}
    for query in ("?size=0", "?offset=-1", "?metaInclude=all", "?size=x"):
        problem(listed(query), 422, "invalid_request")


def test_each_service_says_how_it_stands_and_what_it_can_be_told(service: Any, problem: Any):
    service.dagster.say("Readiness", READY)
    told = {
        one: service.client.get(f"{SERVICES}/{one}/status", headers=ADMIN).json()["status"]
        for one in ("storage", "engine", "dagster")
    }
    assert all(one["ready"] and one["reason"] is None for one in told.values())
    assert {name: [one["name"] for one in status["commands"]] for name, status in told.items()} == {
        "storage": ["relist-snapshots", "ensure-bucket"],
        "engine": ["drop-caches", "recycle-workers"],
        "dagster": ["materialize"],
    }
    assert told["engine"]["stats"]["workers_alive"] == 2
    service.engine.parts["storage"] = False
    storage = service.client.get(f"{SERVICES}/storage/status", headers=ADMIN).json()["status"]
    assert (storage["ready"], storage["reason"]) == (False, "storage_unavailable")
    body = problem(
        service.client.get(f"{SERVICES}/storag/status", headers=ADMIN), 404, "unknown_service"
    )
    assert "storage" in body["hint"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SERVICES),
        ("GET", f"{SERVICES}/engine/status"),
        ("POST", f"{SERVICES}/engine/commands/drop-caches/run"),
    ],
)
def test_services_are_the_admins(service: Any, problem: Any, method: str, path: str):
    body = {"json": {}} if method == "POST" else {}
    problem(service.client.request(method, path, **body), 401, "not_authenticated")


def test_objects_of_a_foreign_writer_show_after_a_relist(start_lake: Any):
    lake = start_lake()
    lake.write("agent_run_log", DAY, ["a", "b"])
    assert lake.ask(COUNT).json()["rows"] == [[2]]
    dataset = lake.catalog["agent_run_log"]
    store = open_small(lake.bucket)
    # A foreign writer bumps no version token.
    obstore.copy(store, data_key(dataset, DAY), data_key(dataset, date(2026, 11, 20)))
    assert lake.ask(COUNT).json()["rows"] == [[2]]
    told = outcome(lake.client, "storage", "relist-snapshots", {"dataset": "agent_run_log"})
    assert (told["status"], told["result"]) == ("succeeded", {"datasets": 1, "days": 2})
    assert lake.ask(COUNT).json()["rows"] == [[4]]
    everything = outcome(lake.client, "storage", "relist-snapshots")
    assert everything["result"] == {"datasets": len(lake.catalog), "days": 2}


def test_dropped_caches_are_empty_and_queries_go_on(start_lake: Any):
    lake = start_lake()
    lake.write("agent_run_log", DAY, ["a", "b"])
    assert lake.ask(COUNT).json()["rows"] == [[2]]
    assert lake.cached_files()
    told = outcome(lake.client, "engine", "drop-caches")
    assert told["result"]["freed_bytes"] >= sum(lake.object_sizes("agent_run_log").values())
    assert not lake.cached_files()
    before = stats(lake)
    assert before["cache_bytes"] == before["answers_bytes"] == 0
    assert lake.ask(COUNT).json()["rows"] == [[2]]
    assert stats(lake)["cache_misses"] == before["cache_misses"] + 1


def test_recycled_workers_are_new_ones(start_lake: Any):
    lake = start_lake()
    lake.write("agent_run_log", DAY, ["a"])
    assert lake.ask(COUNT).json()["rows"] == [[1]]
    assert outcome(lake.client, "engine", "recycle-workers")["result"] == {"workers": 1}
    lake.poll(lambda: stats(lake)["worker_respawns"] == 1)
    assert lake.ask("SELECT count(*) + 0 FROM agent_run_log").json()["rows"] == [[1]]


def stats(lake: Any) -> dict[str, int]:
    answer = lake.client.get(f"{SERVICES}/engine/status", headers=ADMIN)
    return answer.json()["status"]["stats"]


def test_dagster_that_is_away_fails_the_operation(start_service: Any):
    away = start_service(dagster_url="http://127.0.0.1:9")
    status = away.client.get(f"{SERVICES}/dagster/status", headers=ADMIN).json()["status"]
    assert (status["ready"], status["reason"]) == (False, "dagster_unavailable")
    told = outcome(away.client, "dagster", "materialize", {"task": EVENT})
    assert told["status"] == "failed"
    assert told["error"]["code"] == "dagster_unavailable"
    assert told["error"]["retry"] is True


def test_a_materialization_is_pending_until_dagster_has_done_it(service: Any):
    service.dagster.say("LaunchRun", launched_run)
    service.dagster.say("TaskState", run("STARTED"))
    payload = {"task": EVENT, "kwargs": {"date": "2026-11-21"}}
    accepted = command(service.client, "dagster", "materialize", payload)
    operation_id = accepted.json()["id"]
    url = f"{OPERATIONS}/{operation_id}"
    wait_until(lambda: "TaskState" in [name for name, _ in service.dagster.asked], service, url)
    assert service.client.get(url, headers=ADMIN).json() == {
        "id": operation_id,
        "kind": "run-service-command",
        "status": "pending",
    }
    service.dagster.say("TaskState", run("SUCCESS"))
    assert service.client.get(url, headers=ADMIN).json() == {
        "id": operation_id,
        "kind": "run-service-command",
        "status": "succeeded",
        "result": {
            "task": EVENT,
            "task_id": RUN_ID,
            "partitions": {"total": 1, "done": 1, "failed": 0},
        },
    }


def wait_until(found: Any, service: Any, url: str) -> None:
    end = time.monotonic() + 10
    while not found():
        assert time.monotonic() < end
        service.client.get(url, headers=ADMIN)


def test_the_bucket_is_ensured_by_dagster(service: Any):
    service.dagster.say("LaunchRun", launched_run)
    service.dagster.say("TaskState", run("FAILURE"))
    service.dagster.say("RunFailure", events(failure("Step failed", "AccessDenied: no")))
    told = outcome(service.client, "storage", "ensure-bucket")
    [launch] = [variables for name, variables in service.dagster.asked if name == "LaunchRun"]
    assert launch["params"]["selector"]["jobName"] == "ensure_bucket"
    assert told["status"] == "failed"
    assert told["error"] == {"code": "task_failed", "detail": "AccessDenied: no"}


def test_a_repeat_with_the_same_operation_id_begins_nothing(service: Any, problem: Any):
    service.dagster.say("LaunchRun", launched_run)
    service.dagster.say("TaskState", run("SUCCESS"))
    mine = {"operation-id": "night-2026-11-22"}
    first = command(service.client, "storage", "ensure-bucket", **mine)
    assert first.headers["operation-id"] == "night-2026-11-22"
    assert ended(service.client, "night-2026-11-22")["status"] == "succeeded"
    again = command(service.client, "storage", "ensure-bucket", **mine)
    assert (again.status_code, again.json()["status"]) == (202, "succeeded")
    assert [name for name, _ in service.dagster.asked].count("LaunchRun") == 1
    other = command(service.client, "dagster", "materialize", {"task": EVENT}, **mine)
    problem(other, 409, "operation_id_taken")
    assert [name for name, _ in service.dagster.asked].count("LaunchRun") == 1


@pytest.mark.parametrize(
    ("name", "payload", "status", "code", "field"),
    [
        ("storage/relist-snapshots", {"dataset": "nothing"}, 422, "unknown_dataset", "dataset"),
        ("storage/relist-snapshots", {"dataset": 1}, 422, "invalid_request", "dataset"),
        ("storage/relist-snapshots", {"x": 1}, 422, "invalid_request", "x"),
        ("engine/drop-caches", {"x": 1}, 422, "invalid_request", "x"),
        ("dagster/materialize", {}, 422, "invalid_request", "task"),
        ("dagster/materialize", {"task": "lake.fly"}, 400, "unknown_task", None),
        (
            "dagster/materialize",
            {"task": EVENT, "kwargs": {"date": "2030-01-01"}},
            422,
            "date_in_future",
            None,
        ),
        ("engine/drop-caches", {"x": "y" * 15_001}, 422, "invalid_request", ""),
        ("engine/fly", {}, 404, "unknown_command", None),
        ("fly/drop-caches", {}, 404, "unknown_service", None),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_begins(
    *,
    service: Any,
    problem: Any,
    name: str,
    payload: Any,
    status: int,
    code: str,
    field: str | None,
):
    answer = command(service.client, *name.split("/"), payload)
    body = problem(answer, status, code)
    if field is not None:
        assert body["field"] == f"payload.{field}".rstrip(".")


@pytest.mark.parametrize("operation_id", ["", "a b", "x" * 65, "../x"])
def test_an_operation_id_that_is_none(service: Any, problem: Any, operation_id: str):
    mine = {"operation-id": operation_id}
    answer = command(service.client, "engine", "drop-caches", **mine)
    problem(answer, 422, "invalid_request")

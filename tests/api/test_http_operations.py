"""Operations over HTTP: three shapes, and nobody sees those of others."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lake_api.database.database import Database
from lake_api.operations.commands import CommandOperations
from lake_api.operations.schemas import FailedOperation, PendingOperation
from lake_api.operations.store import KEPT, OperationStore
from lake_api.services.commands import Done
from lake_api.services.runner import CommandRunner
from tests.api.conftest import ADMIN, NOW, database_in
from tests.api.test_http_services import ended
from tests.api.test_http_tasks import (
    NOT_FOUND,
    RUN_ID,
    backfill,
    events,
    failure,
    launched_run,
    run,
)

OPERATIONS = "/api/v1/internal/lake/operations"
TOKENS = "/api/v1/internal/lake/tokens"


def told(service: Any, operation_id: str, headers: dict[str, str] | None = None) -> Any:
    return service.client.get(f"{OPERATIONS}/{operation_id}", headers=headers or ADMIN)


def test_a_run_that_runs_succeeded_and_failed(service: Any):
    service.dagster.say("TaskState", run("QUEUED"))
    kind = "materialize-partition"
    pending = {"id": RUN_ID, "kind": kind, "status": "pending"}
    assert told(service, RUN_ID).json() == pending
    service.dagster.say("TaskState", run("SUCCESS"))
    succeeded = told(service, RUN_ID).json()
    assert (succeeded["kind"], succeeded["status"]) == (kind, "succeeded")
    assert succeeded["result"]["partitions"] == {"total": 1, "done": 1, "failed": 0}
    service.dagster.say("TaskState", run("FAILURE"))
    service.dagster.say("RunFailure", events(failure("Step failed", "ValueError: no rows")))
    failed = told(service, RUN_ID).json()
    assert failed["status"] == "failed"
    assert failed["error"] == {"code": "task_failed", "detail": "ValueError: no rows"}
    service.dagster.say("TaskState", run("CANCELED"))
    assert told(service, RUN_ID).json()["error"]["code"] == "task_canceled"


def test_a_backfill(service: Any):
    service.dagster.say("TaskState", backfill("REQUESTED", 3, 0))
    pending = {"id": "qwertyui", "kind": "backfill-partitions", "status": "pending"}
    assert told(service, "qwertyui").json() == pending


@pytest.mark.parametrize("operation_id", ["nothing", "a_b", "x" * 65, "%00", "é"])
def test_what_is_no_operation(service: Any, problem: Any, operation_id: str):
    service.dagster.say("TaskState", NOT_FOUND)
    problem(told(service, operation_id), 404, "unknown_operation")


def test_dagster_that_is_away_is_said(start_service: Any, problem: Any):
    away = start_service(dagster_url="http://127.0.0.1:9")
    problem(told(away, RUN_ID), 503, "dagster_unavailable")


def test_runs_are_told_to_those_who_may_trigger_them(service: Any, problem: Any):
    service.dagster.say("TaskState", run("SUCCESS"))

    def asked_by(**token: Any) -> Any:
        body = {"kind": "agent", "name": "aurora", **token}
        text = service.client.post(TOKENS, json=body, headers=ADMIN).json()["token"]
        return told(service, RUN_ID, {"Authorization": f"Bearer {text}"})

    assert asked_by(operations=["trigger"], datasets=["agent_run_log"]).status_code == 200
    hidden = [
        asked_by(operations=["query", "jobs"]),
        asked_by(operations=["trigger"], datasets=["platform/*"]),
        told(service, RUN_ID, {"X-Agent-ID": "inside"}),
    ]
    assert len({tuple(problem(one, 404, "unknown_operation").items()) for one in hidden}) == 1
    outside = told(service, RUN_ID, {"X-Forwarded-For": "203.0.113.9"})
    problem(outside, 401, "not_authenticated")


def test_commands_are_told_to_the_admin_only(service: Any, problem: Any):
    service.dagster.say("TaskState", NOT_FOUND)
    path = "/api/v1/internal/lake/services/engine/commands/drop-caches/run"
    headers = {**ADMIN, "operation-id": "only-mine"}
    assert service.client.post(path, json={}, headers=headers).status_code == 202
    assert told(service, "only-mine").status_code == 200
    problem(told(service, "only-mine", {"X-Agent-ID": "inside"}), 404, "unknown_operation")


def test_a_command_whose_process_was_killed_is_told_as_interrupted(tmp_path: Path):
    now = NOW

    async def check() -> None:
        nonlocal now
        database = await Database.open(database_in(tmp_path))
        try:
            store = OperationStore(database, clock=lambda: now)
            begun = {"service": "engine", "command": "x", "request_digest": "d"}
            lease = timedelta(seconds=30)
            assert await store.begin(operation_id="a", lease=lease, **begun)
            assert not await store.begin(operation_id="a", lease=lease, **begun)
            operations = CommandOperations(store, None)  # type: ignore[arg-type]
            kept = await store.find("a")
            assert kept is not None
            assert isinstance(await operations.tell(kept), PendingOperation)
            now = NOW + timedelta(seconds=31)
            kept = await store.find("a")
            assert kept is not None
            failed = await operations.tell(kept)
            assert isinstance(failed, FailedOperation)
            assert failed.error.code == "command_interrupted"
            # Old ones go when another begins.
            now = NOW + KEPT + timedelta(seconds=1)
            assert await store.begin(operation_id="b", lease=lease, **begun)
            assert await store.find("a") is None
        finally:
            await database.close()

    asyncio.run(check())


def test_how_a_command_ends_is_noted_whatever_happens(tmp_path: Path):
    async def stops() -> Done:
        await asyncio.Event().wait()
        return Done()

    async def breaks() -> Done:
        raise KeyError("a-secret-of-ours")

    async def check() -> None:
        database = await Database.open(database_in(tmp_path))
        try:
            store = OperationStore(database, clock=lambda: NOW)
            runner = CommandRunner(store)
            for name, work in (("stops", stops), ("breaks", breaks)):
                await runner.start(
                    work, operation_id=name, service="engine", command=name, payload={}
                )
            while (kept := await store.find("breaks")) is None or kept.error is None:
                await asyncio.sleep(0.01)
            assert kept.error.code == "internal_error"
            assert "a-secret-of-ours" not in str(kept.error)
            await runner.close()
            kept = await store.find("stops")
            assert kept is not None
            assert kept.error is not None
            assert kept.error.code == "command_interrupted"
        finally:
            await database.close()

    asyncio.run(check())


def test_a_launched_task_that_dagster_forgot_is_a_failure_not_an_endless_wait(service: Any):
    service.dagster.say("LaunchRun", launched_run)
    service.dagster.say("TaskState", NOT_FOUND)
    path = "/api/v1/internal/lake/services/storage/commands/ensure-bucket/run"
    accepted = service.client.post(path, json={}, headers=ADMIN)
    assert accepted.status_code == 202
    assert ended(service.client, accepted.json()["id"])["error"]["code"] == "task_unknown"

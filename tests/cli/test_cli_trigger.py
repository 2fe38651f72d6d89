"""`lake trigger`: what is sent, waiting, and how it ends."""

import json
from typing import Any

import pytest

from lake_api.stack.state import StackState
from lake_api.tasks.schemas import STATUS_EXAMPLE, TRIGGERED_EXAMPLE
from tests.cli.conftest import KEY, Service, lake

TASK = "lake.export_example_runs"
ID = TRIGGERED_EXAMPLE["task_id"]


def stands(status: str, *, total: int = 1, done: int = 0, failed: int = 0) -> dict[str, Any]:
    return {
        **STATUS_EXAMPLE,
        "status": status,
        "partitions": {"total": total, "done": done, "failed": failed},
        "error": "SchemaMismatch: no" if status == "failed" else None,
    }


@pytest.mark.usefixtures("running")
def test_it_waits_until_the_task_has_ended(service: Service):
    service.say(TRIGGERED_EXAMPLE)
    service.say(stands("queued"))
    service.say(stands("running"))
    service.say(stands("succeeded", done=1))
    result = lake("trigger", TASK, "--date", "2026-11-21")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{TASK} succeeded in 3.0 s, 1 day written\n"
    assert result.stderr.splitlines() == [
        f"{TASK} queued (0 of 1)",
        f"{TASK} running (0 of 1)",
        f"{TASK} succeeded (1 of 1)",
    ]
    sent, *polls = service.requests
    assert sent[3] == {"task": TASK, "kwargs": {"date": "2026-11-21"}}
    assert {poll[1] for poll in polls} == {f"/api/v1/internal/tasks/{ID}"}
    assert {request[2]["x-internal-api-key"] for request in service.requests} == {KEY}


@pytest.mark.usefixtures("running")
def test_days_that_were_left_out_are_not_told_as_written(service: Service):
    service.say(TRIGGERED_EXAMPLE)
    service.say({**stands("succeeded", total=5, done=1), "left_out": "2026-11-20: out of reach"})
    result = lake("trigger", TASK, "--from", "2026-11-20")
    assert result.exit_code == 0
    assert result.stdout == (
        f"{TASK} succeeded in 3.0 s, 1 of 5 days written; 2026-11-20: out of reach\n"
    )


@pytest.mark.usefixtures("running")
def test_a_range_is_sent_as_a_range(service: Service):
    service.say(TRIGGERED_EXAMPLE)
    result = lake("trigger", TASK, "--from", "2026-11-01", "--to", "2026-11-21", "--no-wait")
    assert result.exit_code == 0
    assert result.stdout == f"{TASK} for 2026-11-21 is queued as {ID}\n"
    kwargs = service.requests[0][3]["kwargs"]
    assert kwargs == {"start_date": "2026-11-01", "end_date": "2026-11-21"}
    assert len(service.requests) == 1


@pytest.mark.usefixtures("running")
def test_json_is_the_last_state_and_nothing_else(service: Service):
    service.say(TRIGGERED_EXAMPLE)
    service.say(stands("succeeded", total=3, done=3))
    result = lake("trigger", TASK, "--json")
    assert json.loads(result.stdout) == stands("succeeded", total=3, done=3)


@pytest.mark.usefixtures("running")
def test_json_without_waiting_is_what_was_launched(service: Service):
    service.say(TRIGGERED_EXAMPLE)
    assert json.loads(lake("trigger", TASK, "--json", "--no-wait").stdout) == TRIGGERED_EXAMPLE


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_failed_task_fails_with_its_first_error(
    service: Service, running: StackState, flags: tuple[str, ...]
):
    service.say(TRIGGERED_EXAMPLE)
    service.say(stands("failed", total=4, done=3, failed=1))
    result = lake("trigger", TASK, *flags)
    assert result.exit_code == 1
    assert f"lake: {TASK} failed (1 of 4 days): SchemaMismatch: no\n" in result.stderr
    assert f"Its log is at {running.dagster_url}/runs/{ID}" in result.stderr
    assert bool(result.stdout) == bool(flags)


@pytest.mark.usefixtures("running")
def test_a_canceled_task_is_a_failure(service: Service):
    service.say(TRIGGERED_EXAMPLE)
    service.say(stands("canceled"))
    result = lake("trigger", TASK)
    assert result.exit_code == 1
    assert f"{TASK} was canceled" in result.stderr


@pytest.mark.usefixtures("running")
def test_an_unknown_task_gets_the_nearest_names(service: Service):
    refusal = {
        "status": 400,
        "code": "unknown_task",
        "title": "Task rejected",
        "detail": "There is no task `lake.export_agent_runs`.",
        "hint": "Did you mean `lake.export_example_runs`?",
    }
    service.say(refusal, status=400)
    result = lake("trigger", "lake.export_agent_runs", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == refusal
    assert result.stderr.splitlines() == [
        "lake: There is no task `lake.export_agent_runs`. [unknown_task]",
        "  Did you mean `lake.export_example_runs`?",
    ]


@pytest.mark.parametrize(
    "flags",
    [
        ("--date", "2026-11-21", "--from", "2026-11-01"),
        ("--to", "2026-11-21"),
        ("--date", "yesterday"),
        ("--date", "2026-02-30"),
    ],
)
def test_days_that_make_no_sense_are_a_wrong_use(service: Service, flags: tuple[str, ...]):
    assert lake("trigger", TASK, *flags, "--api-url", service.url).exit_code == 2
    assert service.requests == []


def test_another_service_wants_its_key_named(service: Service, monkeypatch: pytest.MonkeyPatch):
    result = lake("trigger", TASK, "--api-url", service.url)
    assert result.exit_code == 1
    assert "AINATIVE_INTERNAL_API_KEY" in result.stderr
    assert service.requests == []
    monkeypatch.setenv("AINATIVE_INTERNAL_API_KEY", "other")
    service.say(TRIGGERED_EXAMPLE)
    assert lake("trigger", TASK, "--no-wait", "--api-url", service.url).exit_code == 0
    assert service.requests[0][2]["x-internal-api-key"] == "other"


def test_a_key_file_that_is_gone_is_named(running: StackState, home: Any):
    (home / "key").unlink()
    result = lake("trigger", TASK)
    assert result.exit_code == 1
    assert running.internal_api_key_file in result.stderr

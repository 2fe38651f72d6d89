import json
from collections.abc import Mapping
from typing import Any
from unittest.mock import ANY

import httpx
import pytest

KEY = {"X-Internal-API-Key": "test-key-of-the-admin"}
EVENT = "lake.export_agent_run_log"
RUN_ID = "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d"
NOT_FOUND = {
    "runOrError": {"__typename": "RunNotFoundError"},
    "partitionBackfillOrError": {"__typename": "BackfillNotFoundError"},
}


def launched_run(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": RUN_ID}}}


def run(status: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    return {
        **NOT_FOUND,
        "runOrError": {
            "__typename": "Run",
            "runId": RUN_ID,
            "status": status,
            "jobName": "__ASSET_JOB",
            "startTime": 1795350601.5,
            "endTime": None if status in {"QUEUED", "STARTED"} else 1795350604.0,
            "tags": [
                {"key": "dagster/partition", "value": "2026-11-21"},
                {"key": "lake/task", "value": EVENT},
            ],
            "assetSelection": [{"path": ["agent_run_log"]}],
            "assetMaterializations": [{"partition": "2026-11-21"}] if status == "SUCCESS" else [],
            **more,
        },
    }


def backfill(status: str, done: int, failed: int, **more: Any) -> dict[str, Any]:
    return {
        **NOT_FOUND,
        "partitionBackfillOrError": {
            "__typename": "PartitionBackfill",
            "id": "qwertyui",
            "status": status,
            "timestamp": 1795350600.0,
            "endTimestamp": None,
            "numPartitions": 30,
            "tags": [{"key": "lake/task", "value": EVENT}],
            "assetSelection": [{"path": ["agent_run_log"]}],
            "error": None,
            "runs": [],
            "assetBackfillData": {
                "assetBackfillStatuses": [
                    {
                        "__typename": "AssetPartitionsStatusCounts",
                        "numPartitionsMaterialized": done,
                        "numPartitionsFailed": failed,
                    }
                ]
            },
            **more,
        },
    }


def backfill_run(run_id: str, run_status: str, *days: str, **more: Any) -> dict[str, Any]:
    return {
        "runId": run_id,
        "parentRunId": None,
        "status": run_status,
        "startTime": 1795350601.0,
        "endTime": 1795350604.0,
        "assetMaterializations": [{"partition": day} for day in days],
        **more,
    }


def status(service: Any, task_id: str = RUN_ID) -> Any:
    return service.client.get(f"/api/v1/internal/tasks/{task_id}", headers=KEY)


def failure(message: str, cause: str) -> dict[str, Any]:
    error = {"message": message, "causes": [{"message": cause}]}
    return {"__typename": "ExecutionStepFailureEvent", "error": error}


def events(*found: Mapping[str, Any], cursor: str = "1", more: bool = False) -> dict[str, Any]:
    page = {"cursor": cursor, "hasMore": more, "events": list(found)}
    return {"runOrError": {"__typename": "Run", "eventConnection": page}}


def test_one_day_is_one_run(service: Any) -> None:
    service.dagster.say("LaunchRun", launched_run)
    answer = service.trigger("lake.backfill_llm_token_usage", start_date="2026-11-21")
    assert answer.status_code == 200
    assert answer.json() == {
        "task": "lake.backfill_llm_token_usage",
        "task_id": RUN_ID,
        "status": "queued",
        "first_day": "2026-11-21",
        "last_day": "2026-11-21",
    }
    [(operation, variables)] = service.dagster.asked
    assert operation == "LaunchRun"
    assert variables["params"] == {
        "selector": {
            "repositoryName": "__repository__",
            "repositoryLocationName": "lake_assets",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["platform", "llm_token_usage"]}],
        },
        "executionMetadata": {
            "tags": [
                {"key": "lake/task", "value": "lake.backfill_llm_token_usage"},
                {"key": "dagster/partition", "value": "2026-11-21"},
                {"key": "lake/launch", "value": ANY},
            ]
        },
    }


def test_kwargs_may_be_left_out(service: Any) -> None:
    service.dagster.say("LaunchRun", launched_run)
    answer = service.client.post(
        "/api/v1/internal/tasks/trigger", json={"task": EVENT}, headers=KEY
    )
    assert (answer.status_code, answer.json()["first_day"]) == (200, "2026-11-21")


def test_a_range_is_one_backfill(service: Any) -> None:
    result = {"__typename": "LaunchBackfillSuccess", "backfillId": "qwertyui"}
    service.dagster.say("LaunchBackfill", {"launchPartitionBackfill": result})
    answer = service.trigger(EVENT, start_date="2026-11-19", end_date="2026-11-21")
    assert answer.json() == {
        "task": EVENT,
        "task_id": "qwertyui",
        "status": "queued",
        "first_day": "2026-11-19",
        "last_day": "2026-11-21",
    }
    [(_, variables)] = service.dagster.asked
    assert variables["params"] == {
        "assetSelection": [{"path": ["agent_run_log"]}],
        "partitionNames": ["2026-11-19", "2026-11-20", "2026-11-21"],
        "tags": [
            {"key": "lake/task", "value": EVENT},
            {"key": "lake/launch", "value": ANY},
        ],
    }


def test_maintenance_is_its_job(service: Any) -> None:
    service.dagster.say("LaunchRun", launched_run)
    answer = service.trigger("lake.ensure_bucket")
    assert (answer.json()["first_day"], answer.json()["last_day"]) == (None, None)
    [(_, variables)] = service.dagster.asked
    assert variables["params"]["selector"]["jobName"] == "ensure_bucket"
    assert "assetSelection" not in variables["params"]["selector"]


@pytest.mark.parametrize(
    ("task", "kwargs", "http_status", "code"),
    [
        ("lake.drop_everything", {}, 400, "unknown_task"),
        (EVENT, {"day": "2026-11-21"}, 422, "invalid_kwargs"),
        (EVENT, {"date": "2026-11-23"}, 422, "date_in_future"),
        (EVENT, {"date": "2020-01-01"}, 422, "date_before_start"),
        ("lake.export_agent_instances", {"date": "2026-11-01"}, 422, "snapshot_past_day"),
    ],
)
def test_what_cant_be_run_is_never_launched(  # noqa: PLR0917 - a table of cases
    service: Any, problem: Any, task: str, kwargs: dict[str, str], http_status: int, code: str
) -> None:
    problem(service.trigger(task, **kwargs), http_status, code)
    assert service.dagster.asked == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "task"),
        ({"task": 1}, "task"),
        ({"task": ""}, "task"),
        ({"task": EVENT, "kwargs": []}, "kwargs"),
        ({"task": EVENT, "args": {}}, "args"),
    ],
)
def test_the_bodys_fields_are_checked(
    service: Any, problem: Any, body: dict[str, Any], field: str
) -> None:
    answer = service.client.post("/api/v1/internal/tasks/trigger", json=body, headers=KEY)
    assert problem(answer, 422, "invalid_request")["field"] == field


@pytest.mark.parametrize(
    "result",
    [
        {"__typename": "PipelineNotFoundError", "message": "Could not find Pipeline x"},
        {"__typename": "PythonError", "message": "boom in /srv/code.py\nTraceback"},
        {"__typename": "UnauthorizedError", "message": "Authorization failed"},
        {"__typename": "RunConfigValidationInvalid", "errors": [{"message": "bad config"}]},
        {"__typename": "PresetNotFoundError"},
    ],
)
def test_dagsters_refusal_is_told_in_one_clean_line(
    service: Any, problem: Any, result: dict[str, Any]
) -> None:
    service.dagster.say("LaunchRun", {"launchRun": result})
    body = problem(service.trigger(EVENT), 502, "dagster_rejected")
    assert "Traceback" not in body["detail"]


@pytest.mark.parametrize(
    ("http_status", "answer", "expected", "code"),
    [
        (400, {"errors": [{"message": "Unknown argument"}]}, 502, "dagster_rejected"),
        (500, {"data": None, "errors": [{"message": "x"}]}, 502, "dagster_rejected"),
        (200, {"data": None}, 503, "dagster_unavailable"),
        (502, ["a proxy's page"], 503, "dagster_unavailable"),
    ],
)
def test_graphql_errors_are_refusals_whatever_the_http_status(  # noqa: PLR0917 - a table of cases
    start_service: Any, problem: Any, http_status: int, answer: Any, expected: int, code: str
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(http_status, json=answer))
    problem(start_service(dagster_transport=transport).trigger(EVENT), expected, code)


def test_dagster_down_is_503_with_a_time_to_come_back(start_service: Any, problem: Any) -> None:
    # Port 9 (discard) has no listener on loopback.
    service = start_service(dagster_url="http://127.0.0.1:9")
    for answer in (service.trigger(EVENT), status(service)):
        body = problem(answer, 503, "dagster_unavailable")
        assert answer.headers["Retry-After"] == str(body["retry_after_s"])
        assert body["retry"] is True
        assert "127.0.0.1" not in answer.text


class BusyDagster:
    """Queues what it is asked to, and answers a launch too late; other answers as they are told."""

    def __init__(self, *, looks_in_vain: int = 1) -> None:
        self.launch_ids: list[str] = []
        self.looks = 0
        self._in_vain = looks_in_vain

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        operation = body["query"].split("(")[0].split()[1]
        params = body["variables"].get("params")
        if params is not None:
            tags = params.get("tags") or params["executionMetadata"]["tags"]
            self.launch_ids += [tag["value"] for tag in tags if tag["key"] == "lake/launch"]
            raise httpx.ReadTimeout("too busy", request=request)
        self.looks += 1
        if self.looks <= self._in_vain:
            raise httpx.ReadTimeout("too busy", request=request)
        tag = {"key": "lake/launch", "value": self.launch_ids[0]}
        if operation == "FindRun":
            assert body["variables"]["tags"] == [tag]
            found: dict[str, Any] = {"runsOrError": {"results": [{"runId": RUN_ID}]}}
        else:
            others = {"id": "other", "tags": [{"key": "lake/launch", "value": "other"}]}
            results = [others, {"id": "qwertyui", "tags": [tag]}]
            found = {"partitionBackfillsOrError": {"results": results}}
        return httpx.Response(200, json={"data": found})


@pytest.mark.parametrize(
    ("days", "task_id"),
    [
        ({"date": "2026-11-21"}, RUN_ID),
        ({"start_date": "2026-11-19", "end_date": "2026-11-21"}, "qwertyui"),
    ],
)
def test_a_launch_whose_answer_is_lost_is_found_and_not_repeated(
    start_service: Any, days: dict[str, str], task_id: str
) -> None:
    busy = BusyDagster()
    service = start_service(dagster_transport=httpx.MockTransport(busy))
    answer = service.trigger(EVENT, **days)
    assert (answer.status_code, answer.json()["task_id"]) == (200, task_id)
    assert len(busy.launch_ids) == 1
    assert busy.looks == 2


def test_a_launch_that_never_shows_up_is_told_after_a_while(
    start_service: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lake_api.tasks.dagster._SEARCH_S", 0.2)
    busy = BusyDagster(looks_in_vain=1_000)
    service = start_service(dagster_transport=httpx.MockTransport(busy))
    body = problem(service.trigger(EVENT), 503, "dagster_unavailable")
    assert "was queued before you try again" in body["hint"]
    assert busy.looks >= 1
    assert len(busy.launch_ids) == 1


def test_an_answer_that_is_no_graphql_is_dagster_unavailable(
    start_service: Any, service: Any, problem: Any
) -> None:
    # The lake's own service answers POST /graphql with a 404.
    wrong = start_service(dagster_url=str(service.client.base_url))
    problem(wrong.trigger(EVENT), 503, "dagster_unavailable")


@pytest.mark.parametrize(
    ("dagster_state", "state"),
    [
        ("QUEUED", "queued"),
        ("NOT_STARTED", "queued"),
        ("STARTING", "queued"),
        ("STARTED", "running"),
        ("CANCELING", "running"),
        ("SUCCESS", "succeeded"),
        ("CANCELED", "canceled"),
    ],
)
def test_a_runs_state(service: Any, dagster_state: str, state: str) -> None:
    service.dagster.say("TaskState", run(dagster_state))
    body = status(service).json()
    assert body["status"] == state
    assert body["task"] == EVENT
    assert body["task_id"] == RUN_ID
    assert body["partitions"] == {"total": 1, "done": int(state == "succeeded"), "failed": 0}
    assert body["started_at"] == "2026-11-22T12:30:01.500000Z"
    assert (body["finished_at"] is None) == (dagster_state in {"QUEUED", "STARTED"})
    assert body["error"] is None
    assert body["dagster_url"] == f"/runs/{RUN_ID}"


def test_a_failed_run_tells_its_first_error(service: Any) -> None:
    service.dagster.say("TaskState", run("FAILURE"))
    pages = {
        None: events({"__typename": "LogMessageEvent"}, cursor="c1", more=True),
        "c1": events(
            failure("Error occurred while executing op", "a.b.SchemaMismatch: column x\nTrace"),
            failure("outer", "later"),
        ),
    }
    service.dagster.say("RunFailure", lambda variables: pages[variables["after"]])
    body = status(service).json()
    assert body["status"] == "failed"
    assert body["partitions"] == {"total": 1, "done": 0, "failed": 1}
    assert body["error"] == "SchemaMismatch: column x"


def test_a_run_that_died_tells_its_own_message(service: Any) -> None:
    service.dagster.say("TaskState", run("FAILURE"))
    died = {"__typename": "RunFailureEvent", "message": "Run worker was killed.", "error": None}
    service.dagster.say("RunFailure", events(died))
    assert status(service).json()["error"] == "Run worker was killed."


def test_a_failed_run_without_an_error_event_has_none(service: Any) -> None:
    service.dagster.say("TaskState", run("FAILURE"))
    service.dagster.say("RunFailure", events())
    assert status(service).json()["error"] is None


def test_a_range_run_counts_its_days(service: Any) -> None:
    tags = [
        {"key": "dagster/asset_partition_range_start", "value": "2026-10-30"},
        {"key": "dagster/asset_partition_range_end", "value": "2026-11-02"},
    ]
    written = [{"partition": "2026-10-30"}, {"partition": "2026-10-31"}]
    service.dagster.say(
        "TaskState", run("STARTED", tags=tags, assetMaterializations=[*written, *written])
    )
    body = status(service).json()
    assert body["partitions"] == {"total": 4, "done": 2, "failed": 0}
    # Launched in the Dagster UI: no tag tells the task, its only dataset does.
    assert body["task"] == EVENT


def test_a_maintenance_run_has_no_days(service: Any) -> None:
    found = run("SUCCESS", tags=[], assetSelection=None, assetMaterializations=[])
    found["runOrError"]["jobName"] = "ensure_bucket"
    service.dagster.say("TaskState", found)
    body = status(service).json()
    assert body["task"] == "lake.ensure_bucket"
    assert body["partitions"] == {"total": 0, "done": 0, "failed": 0}


def test_a_run_of_several_datasets_has_no_task(service: Any) -> None:
    both = [{"path": ["agent_run_log"]}, {"path": ["platform", "llm_token_usage"]}]
    service.dagster.say("TaskState", run("SUCCESS", tags=[], assetSelection=both))
    assert status(service).json()["task"] is None


@pytest.mark.parametrize(
    ("dagster_state", "done", "failed", "runs", "state"),
    [
        ("REQUESTED", 0, 0, [], "queued"),
        ("REQUESTED", 0, 0, ["QUEUED"], "queued"),
        ("REQUESTED", 7, 0, ["STARTED"], "running"),
        ("CANCELING", 7, 0, ["CANCELING"], "running"),
        ("COMPLETED_SUCCESS", 30, 0, ["SUCCESS"], "succeeded"),
        ("COMPLETED", 30, 0, ["SUCCESS"], "succeeded"),
        ("CANCELED", 7, 0, ["CANCELED"], "canceled"),
    ],
)
def test_a_backfills_state(  # noqa: PLR0917 - a table of cases
    service: Any, dagster_state: str, done: int, failed: int, runs: list[str], state: str
) -> None:
    listed = [backfill_run(f"r{place}", one) for place, one in enumerate(runs)]
    service.dagster.say("TaskState", backfill(dagster_state, done, failed, runs=listed))
    body = status(service, "qwertyui").json()
    assert body["status"] == state
    assert body["task"] == EVENT
    assert body["partitions"] == {"total": 30, "done": done, "failed": failed}
    assert body["dagster_url"] == "/runs/b/qwertyui"


@pytest.mark.parametrize("dagster_state", ["COMPLETED_FAILED", "COMPLETED"])
def test_a_failed_backfill_tells_its_first_runs_error(service: Any, dagster_state: str) -> None:
    runs = [
        backfill_run("newer", "FAILURE", startTime=1795350609.0),
        backfill_run("older", "FAILURE"),
    ]
    service.dagster.say("TaskState", backfill(dagster_state, 20, 10, runs=runs))
    service.dagster.say(
        "RunFailure",
        lambda variables: events(failure("outer", f"Failure: from {variables['runId']}")),
    )
    body = status(service, "qwertyui").json()
    assert body["status"] == "failed"
    assert body["error"] == "from older"
    assert body["started_at"] == "2026-11-22T12:30:01Z"


def left_out(day: str, why: str) -> dict[str, Any]:
    return {"__typename": "ObservationEvent", "partition": day, "description": why}


def test_a_backfill_that_left_out_days_has_succeeded_and_says_why(service: Any) -> None:
    runs = [backfill_run("r", "SUCCESS", "2026-11-20")]
    service.dagster.say("TaskState", backfill("COMPLETED_FAILED", 1, 29, runs=runs))
    service.dagster.say(
        "LeftOut",
        lambda variables: (
            events({"__typename": "RunStartEvent"}, cursor="1", more=True)
            if variables["after"] is None
            else events(left_out("2026-11-21", "out of reach: charts are kept for 5 days"))
        ),
    )

    body = status(service, "qwertyui").json()

    assert body["status"] == "succeeded"
    assert body["partitions"] == {"total": 30, "done": 1, "failed": 0}
    assert body["left_out"] == "2026-11-21: out of reach: charts are kept for 5 days"
    assert body["error"] is None


def test_a_run_that_was_lost_and_retried_fails_no_backfill_that_left_out_days(service: Any) -> None:
    runs = [
        backfill_run("again", "SUCCESS", "2026-11-20", parentRunId="lost"),
        backfill_run("lost", "FAILURE", "2026-11-19", startTime=1795350600.0),
    ]
    service.dagster.say("TaskState", backfill("COMPLETED_FAILED", 2, 28, runs=runs))
    service.dagster.say(
        "LeftOut",
        lambda variables: events(left_out("2026-11-21", f"as {variables['runId']} says")),
    )

    body = status(service, "qwertyui").json()

    assert body["status"] == "succeeded"
    assert body["partitions"] == {"total": 30, "done": 2, "failed": 0}
    assert body["left_out"] == "2026-11-21: as again says"
    assert body["started_at"] == "2026-11-22T12:30:00Z"

    # A retry that is lost too is a failure.
    runs[0]["status"] = "FAILURE"
    service.dagster.say("TaskState", backfill("COMPLETED_FAILED", 2, 28, runs=runs))
    service.dagster.say("RunFailure", events(failure("outer", "Failure: lost again")))
    assert status(service, "qwertyui").json()["status"] == "failed"


def test_a_run_that_wrote_nothing_says_why(service: Any) -> None:
    service.dagster.say("TaskState", run("SUCCESS", assetMaterializations=[]))
    skipped = "Skipped: FRED is not configured: set FRED_API_KEY"
    service.dagster.say("LeftOut", events(left_out("2026-11-21", skipped)))

    body = status(service).json()

    assert (body["status"], body["partitions"]["done"]) == ("succeeded", 0)
    assert body["left_out"] == f"2026-11-21: {skipped}"


def test_a_backfill_is_done_when_its_run_is_and_not_a_tick_later(service: Any) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, 31)]
    half = [backfill_run("r", "STARTED", *days[:15], endTime=None)]
    service.dagster.say("TaskState", backfill("REQUESTED", 0, 0, runs=half))
    body = status(service, "qwertyui").json()
    assert (body["status"], body["partitions"]["done"]) == ("running", 15)
    whole = [backfill_run("r", "SUCCESS", *days)]
    service.dagster.say("TaskState", backfill("REQUESTED", 0, 0, runs=whole))
    body = status(service, "qwertyui").json()
    assert (body["status"], body["partitions"]["done"]) == ("succeeded", 30)
    assert body["finished_at"] == "2026-11-22T12:30:04Z"
    short = [backfill_run("r", "SUCCESS", *days[:29])]
    service.dagster.say("TaskState", backfill("REQUESTED", 0, 0, runs=short))
    assert status(service, "qwertyui").json()["status"] == "running"


def test_a_backfills_own_error_needs_no_run(service: Any) -> None:
    service.dagster.say(
        "TaskState", backfill("FAILED", 0, 0, error={"message": "x.y.Error: no daemon"})
    )
    assert status(service, "qwertyui").json()["error"] == "Error: no daemon"


def test_an_unknown_id_is_not_found(service: Any, problem: Any) -> None:
    service.dagster.say("TaskState", NOT_FOUND)
    problem(status(service, "zzzzzzzz"), 404, "unknown_task_id")


@pytest.mark.parametrize("task_id", ["a.b", "x" * 65, "a%20b", "%C3%A4"])
def test_what_is_no_id_is_not_asked_for(service: Any, problem: Any, task_id: str) -> None:
    problem(status(service, task_id), 404, "unknown_task_id")
    assert service.dagster.asked == []

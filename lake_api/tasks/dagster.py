"""Dagster's GraphQL over HTTP: launch a run or a backfill, and look one up.

Belongs here: the documents, sending them, telling "does not answer" from "will not".
Does not belong here: what the answers mean for a task (`status`), which days to write (`plan`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec

from lake_api.errors import AnswerLost, LakeError, ServiceUnavailable, UpstreamRejected
from lake_api.settings import Settings
from lake_api.tasks.launches import (
    FIND_BACKFILL,
    FIND_RUN,
    LAUNCH_TAG,
    backfill_search,
    found_launch,
    new_launch_id,
    run_search,
)
from lake_api.tasks.plan import TaskPlan
from lake_api.tasks.scrub import first_line

CODE_LOCATION = "lake_assets"
REPOSITORY = "__repository__"
ASSET_JOB = "__ASSET_JOB"
TASK_TAG = "lake/task"

_EVENT_PAGE = 1000
_MAX_EVENT_PAGES = 50
_READY_TIMEOUT_S = 2.0
# Together with the first wait, less than the service's own callers wait for an answer.
_SEARCH_S = 45.0
_SEARCH_PAUSE_S = 0.5
_ID_MAX_CHARS = 64

LAUNCH_RUN = """
mutation LaunchRun($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""

LAUNCH_BACKFILL = """
mutation LaunchBackfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""

TASK_STATE = """
query TaskState($id: String!, $runId: ID!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      runId status jobName startTime endTime
      tags { key value }
      assetSelection { path }
      assetMaterializations { partition }
    }
    ... on PythonError { message }
  }
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill {
      id status timestamp endTimestamp numPartitions
      tags { key value }
      assetSelection { path }
      error { message }
      runs(limit: 100) {
        runId parentRunId status startTime endTime
        assetMaterializations { partition }
      }
      assetBackfillData {
        assetBackfillStatuses {
          __typename
          ... on AssetPartitionsStatusCounts {
            numPartitionsMaterialized numPartitionsFailed
          }
        }
      }
    }
    ... on PythonError { message }
  }
}
"""

RUN_FAILURE = """
query RunFailure($runId: ID!, $after: String, $limit: Int!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      eventConnection(afterCursor: $after, limit: $limit) {
        cursor hasMore
        events {
          __typename
          ... on ExecutionStepFailureEvent { error { message causes { message } } }
          ... on RunFailureEvent { message error { message causes { message } } }
        }
      }
    }
  }
}
"""

LEFT_OUT = """
query LeftOut($runId: ID!, $after: String, $limit: Int!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      eventConnection(afterCursor: $after, limit: $limit) {
        cursor hasMore
        events {
          __typename
          ... on ObservationEvent { partition description }
        }
      }
    }
  }
}
"""

READINESS = """
query Readiness($selector: RepositorySelector!) {
  repositoryOrError(repositorySelector: $selector) { __typename }
}
"""

DOCUMENTS = (
    LAUNCH_RUN,
    LAUNCH_BACKFILL,
    TASK_STATE,
    RUN_FAILURE,
    LEFT_OUT,
    READINESS,
    FIND_RUN,
    FIND_BACKFILL,
)

_LOCATION = {"repositoryName": REPOSITORY, "repositoryLocationName": CODE_LOCATION}


class _GraphQLError(msgspec.Struct):
    message: str


class _GraphQLAnswer(msgspec.Struct):
    data: dict[str, Any] | None = None
    errors: list[_GraphQLError] | None = None


class DagsterClient:
    """One connection pool to one Dagster webserver."""

    def __init__(
        self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=settings.dagster_url.rstrip("/"),
            timeout=settings.dagster_timeout_s,
            transport=transport,
            # Proxies named in the environment are for the outside; Dagster is next door.
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._http.aclose()

    async def launch(self, plan: TaskPlan) -> str:
        """Launch what a plan says and return its run or backfill id.

        Raises:
            ServiceUnavailable: Dagster does not answer.
            UpstreamRejected: Dagster refuses.
        """
        if len(plan.days) > 1:
            return await self._launch_backfill(plan)
        return await self._launch_run(plan)

    async def find(self, task_id: str) -> Mapping[str, Any]:
        """What Dagster knows of an id, as run and as backfill (the `TASK_STATE` data)."""
        return await self._send(TASK_STATE, {"id": task_id, "runId": task_id})

    async def first_failure(self, run_id: str) -> str | None:
        """The first error of a failed run, one line, or None when its log names none."""
        return await self._first_event(RUN_FAILURE, run_id, _failure_line)

    async def first_left_out(self, run_id: str) -> str | None:
        """The first day that a run left out, and why, or None when its log names none."""
        return await self._first_event(LEFT_OUT, run_id, _left_out_line)

    async def _first_event(
        self, document: str, run_id: str, line: Callable[[dict[str, Any]], str | None]
    ) -> str | None:
        after: str | None = None
        for _ in range(_MAX_EVENT_PAGES):
            variables = {"runId": run_id, "after": after, "limit": _EVENT_PAGE}
            run = (await self._send(document, variables))["runOrError"]
            page: dict[str, Any] = run.get("eventConnection") or {}
            for event in page.get("events", ()):
                if found := line(event):
                    return found
            if not page.get("hasMore"):
                return None
            after = page["cursor"]
        return None

    async def not_ready(self) -> str | None:
        """None when runs can be launched, else the reason as a code."""
        try:
            data = await self._send(READINESS, {"selector": _LOCATION}, timeout_s=_READY_TIMEOUT_S)
        except LakeError as error:
            return error.code
        if data["repositoryOrError"]["__typename"] != "Repository":
            return "code_location_not_loaded"
        return None

    async def _launch_run(self, plan: TaskPlan) -> str:
        selector: dict[str, Any] = {**_LOCATION}
        tags = [_tag(TASK_TAG, plan.task.name)]
        if plan.dataset is None:
            selector["jobName"] = plan.task.name.removeprefix("lake.")
        else:
            selector["jobName"] = ASSET_JOB
            selector["assetSelection"] = [{"path": list(plan.dataset.asset_key)}]
            tags.append(_tag("dagster/partition", plan.days[0].isoformat()))
        launch_id = new_launch_id()
        tags.append(_tag(LAUNCH_TAG, launch_id))
        params = {"selector": selector, "executionMetadata": {"tags": tags}}
        try:
            data = await self._send(LAUNCH_RUN, {"params": params})
        except AnswerLost as lost:
            return await self._found(*run_search(launch_id), launch_id, lost)
        result = _accepted(data["launchRun"], "LaunchRunSuccess")
        return result["run"]["runId"]

    async def _launch_backfill(self, plan: TaskPlan) -> str:
        asset_key = plan.dataset.asset_key if plan.dataset else ()
        launch_id = new_launch_id()
        params = {
            "assetSelection": [{"path": list(asset_key)}],
            "partitionNames": [day.isoformat() for day in plan.days],
            "tags": [_tag(TASK_TAG, plan.task.name), _tag(LAUNCH_TAG, launch_id)],
        }
        try:
            data = await self._send(LAUNCH_BACKFILL, {"params": params})
        except AnswerLost as lost:
            return await self._found(*backfill_search(), launch_id, lost)
        result = _accepted(data["launchPartitionBackfill"], "LaunchBackfillSuccess")
        return result["backfillId"]

    async def _found(
        self, document: str, variables: Mapping[str, Any], launch_id: str, lost: AnswerLost
    ) -> str:
        """The id of what a launch started whose answer was lost.

        Raises:
            ServiceUnavailable: nothing of it showed up in time.
        """
        deadline = time.monotonic() + _SEARCH_S
        while time.monotonic() < deadline:
            try:
                found = found_launch(await self._send(document, variables), launch_id)
            except LakeError:
                found = None
            if found is not None:
                return found
            await asyncio.sleep(_SEARCH_PAUSE_S)
        raise lost

    async def _send(
        self, document: str, variables: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            answer = await self._http.post(
                "/graphql", json={"query": document, "variables": variables}, timeout=timeout
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _unavailable("Dagster does not answer; nothing was started.") from error
        except httpx.HTTPError as error:
            raise _unavailable("Dagster did not finish its answer.", kind=AnswerLost) from error
        return _data(answer)


def is_task_id(text: str) -> bool:
    """Whether a text can be the id of a run (UUID) or of a backfill (letters)."""
    return 0 < len(text) <= _ID_MAX_CHARS and all(
        char.isascii() and (char.isalnum() or char == "-") for char in text
    )


def _data(answer: httpx.Response) -> dict[str, Any]:
    """The data of an answer. GraphQL tells its errors in the body, whatever the HTTP status."""
    try:
        body = msgspec.json.decode(answer.content, type=_GraphQLAnswer)
    except msgspec.DecodeError as error:
        raise _unavailable("Dagster gave no usable answer.") from error
    if body.errors:
        raise _refused(body.errors[0].message)
    if body.data is None:
        raise _unavailable("Dagster gave no usable answer.")
    return body.data


def _tag(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


def _unavailable(
    detail: str, *, kind: type[ServiceUnavailable] = ServiceUnavailable
) -> ServiceUnavailable:
    return kind(
        detail,
        code="dagster_unavailable",
        hint="Look in Dagster whether the run was queued before you try again.",
        retry=True,
        retry_after_s=5,
    )


def _accepted(result: dict[str, Any], success: str) -> dict[str, Any]:
    if result["__typename"] == success:
        return result
    errors: list[dict[str, str]] = result.get("errors") or [result]
    raise _refused(errors[0].get("message") or result["__typename"])


def _refused(message: str) -> UpstreamRejected:
    return UpstreamRejected(
        f"Dagster refused: {first_line(message)}",
        hint="See the code location's state in the Dagster UI.",
    )


def _left_out_line(event: dict[str, Any]) -> str | None:
    if event["__typename"] != "ObservationEvent" or not event["description"]:
        return None
    return first_line(f"{event['partition']}: {event['description']}")


def _failure_line(event: dict[str, Any]) -> str | None:
    if event["__typename"] not in {"ExecutionStepFailureEvent", "RunFailureEvent"}:
        return None
    error: dict[str, Any] = event.get("error") or {}
    # The outer message only says which step failed; its first cause is what the step raised.
    causes: list[dict[str, str]] = error.get("causes") or []
    message = causes[0]["message"] if causes else error.get("message") or event.get("message")
    return first_line(message or "The run failed without an error.")

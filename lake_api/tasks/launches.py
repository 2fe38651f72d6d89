"""Finding what a launch has started when its answer did not arrive.

Belongs here: the tag that every launch carries, and the documents that look it up.
Does not belong here: sending them (`dagster` for the service, `cli.dagster_http` for commands).

A launch is not safe to send twice: Dagster may have queued the run although its answer came too
late. Each launch therefore carries a tag of its own, and a caller without an answer looks for it.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

LAUNCH_TAG = "lake/launch"

_NEWEST_BACKFILLS = 50

FIND_RUN = """
query FindRun($tags: [ExecutionTag!]!) {
  runsOrError(filter: {tags: $tags}, limit: 1) {
    __typename
    ... on Runs { results { runId } }
    ... on Error { message }
  }
}
"""

FIND_BACKFILL = """
query FindBackfill($limit: Int!) {
  partitionBackfillsOrError(limit: $limit) {
    __typename
    ... on PartitionBackfills { results { id tags { key value } } }
    ... on PythonError { message }
  }
}
"""


def new_launch_id() -> str:
    """An id that no other launch has."""
    return uuid.uuid4().hex


def run_search(launch_id: str) -> tuple[str, Mapping[str, Any]]:
    """The document that finds the run of a launch, and its variables."""
    return FIND_RUN, {"tags": [{"key": LAUNCH_TAG, "value": launch_id}]}


def backfill_search() -> tuple[str, Mapping[str, Any]]:
    """The document that finds the backfill of a launch, and its variables.

    Dagster does not filter backfills by tag: the newest ones are compared.
    """
    return FIND_BACKFILL, {"limit": _NEWEST_BACKFILLS}


def found_launch(data: Mapping[str, Any], launch_id: str) -> str | None:
    """The id of the run or backfill in the answer of a search, or None while there is none."""
    if "runsOrError" in data:
        runs: Iterable[dict[str, Any]] = data["runsOrError"].get("results") or ()
        return next((run["runId"] for run in runs), None)
    backfills: Iterable[dict[str, Any]] = data["partitionBackfillsOrError"].get("results") or ()
    wanted = {"key": LAUNCH_TAG, "value": launch_id}
    return next((one["id"] for one in backfills if wanted in one["tags"]), None)

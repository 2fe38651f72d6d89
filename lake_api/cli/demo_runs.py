"""The demo's runs: one per job over many datasets, which no task of the service launches.

Belongs here: launching a job's run through Dagster's GraphQL, and counting what it has written.
Does not belong here: tasks (`lake_api.tasks`, over HTTP).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from lake_api.cli.failure import CommandFailed
from lake_api.tasks.dagster import CODE_LOCATION, LAUNCH_RUN, REPOSITORY
from lake_api.tasks.schemas import TaskState
from lake_api.tasks.status import RUN_STATES
from lake_assets.catalog import Dataset

RUN_PROGRESS = """
query RunProgress($runId: ID!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run { status stats { ... on RunStatsSnapshot { materializations } } }
  }
}
"""

_TIMEOUT_S = 30.0
_HINT = "`lake up` shows the same in a Dagster UI that stays."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How a run stands, and how many partitions it has written."""

    state: TaskState
    materialized: int


class DagsterRuns:
    """The runs of one Dagster."""

    def __init__(self, dagster_url: str) -> None:
        self._http = httpx.Client(base_url=dagster_url, timeout=_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> "DagsterRuns":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def launch(self, job: str, datasets: Iterable[Dataset], tags: Mapping[str, str]) -> str:
        """Queue a run over some datasets of a job and return its id."""
        params = {
            "selector": {
                "repositoryName": REPOSITORY,
                "repositoryLocationName": CODE_LOCATION,
                "jobName": job,
                "assetSelection": [{"path": list(dataset.asset_key)} for dataset in datasets],
            },
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in tags.items()]
            },
        }
        result = self._ask(LAUNCH_RUN, {"params": params})["launchRun"]
        if result["__typename"] != "LaunchRunSuccess":
            raise CommandFailed(
                f"Dagster refused to run {job}: {result.get('message') or result['__typename']}",
                hint=_HINT,
            )
        return result["run"]["runId"]

    def progress(self, run_id: str) -> RunProgress:
        """How a run stands."""
        run = self._ask(RUN_PROGRESS, {"runId": run_id})["runOrError"]
        return RunProgress(
            state=RUN_STATES[run["status"]],
            materialized=(run["stats"] or {}).get("materializations") or 0,
        )

    def _ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self._http.post("/graphql", json={"query": document, "variables": variables})
        except httpx.HTTPError as error:
            raise CommandFailed("Dagster does not answer", hint=_HINT) from error
        body: dict[str, Any] = answer.json()
        if body.get("errors"):
            raise CommandFailed(f"Dagster: {body['errors'][0]['message']}", hint=_HINT)
        return body["data"]

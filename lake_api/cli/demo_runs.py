"""The demo's runs: one per job over some datasets, which no task of the service launches.

Belongs here: launching them in steps, and waiting until what they write is there.
Does not belong here: GraphQL itself (`dagster_http`); tasks (`lake_api.tasks`, over HTTP).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lake_api.cli.dagster_http import DagsterHttp
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import Line
from lake_api.tasks.dagster import CODE_LOCATION, REPOSITORY
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

_POLL_S = 0.5
# A launch notes every day of every dataset before it answers: few datasets keep it short.
_DATASETS_PER_RUN = 16
_STANDSTILL_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How a run stands, and how many partitions it has written."""

    state: TaskState
    materialized: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Partitions of some datasets that one job writes; `partitions` is how many come of it."""

    job: str
    datasets: Sequence[Dataset]
    tags: Mapping[str, str] = field(repr=False)
    days: int = 1

    @property
    def partitions(self) -> int:
        """How many partitions it writes."""
        return len(self.datasets) * self.days

    def steps(self) -> list["Work"]:
        """The same in runs of about equal size, none of many datasets."""
        count = -(-len(self.datasets) // _DATASETS_PER_RUN)
        return [
            Work(job=self.job, datasets=self.datasets[nth::count], tags=self.tags, days=self.days)
            for nth in range(count)
        ]


def write_all(
    dagster: DagsterHttp,
    works: Sequence[Work],
    *,
    line: Line,
    failed: Callable[[str], CommandFailed],
) -> int:
    """Launch the runs of all works, wait for their end, and return how many runs it took.

    `failed` makes the error of a run that did not succeed.

    Raises:
        CommandFailed: a run failed, or wrote less than it should, or nothing moved for minutes.
    """
    steps = [step for work in works for step in work.steps()]
    launched: list[str] = []
    for step in steps:
        line("  runs launched", done=len(launched), total=len(steps))
        launched.append(_launch(dagster, step))
    line("  runs launched", done=len(launched), total=len(steps))
    expected = sum(work.partitions for work in works)
    written = _follow(dagster, launched, expected, line=line, failed=failed)
    if written != expected:
        raise CommandFailed(
            f"the runs wrote {written} of {expected} partitions",
            hint="The logs of the runs say which were left out.",
        )
    return len(launched)


def _launch(dagster: DagsterHttp, step: Work) -> str:
    selector = {
        "repositoryName": REPOSITORY,
        "repositoryLocationName": CODE_LOCATION,
        "jobName": step.job,
        "assetSelection": [{"path": list(dataset.asset_key)} for dataset in step.datasets],
    }
    return dagster.launch_run(selector, step.tags)


def _follow(
    dagster: DagsterHttp,
    launched: Sequence[str],
    expected: int,
    *,
    line: Line,
    failed: Callable[[str], CommandFailed],
) -> int:
    """Wait until all runs have succeeded, and return how many partitions they wrote."""
    seen: dict[str, RunProgress] = {}
    moved = time.monotonic()
    while True:
        now = {run_id: _progress(dagster, run_id) for run_id in launched}
        for run_id, run in now.items():
            if run.state in {"failed", "canceled"}:
                raise failed(run_id)
        written = sum(run.materialized for run in now.values())
        line("  partitions written", done=written, total=expected)
        if all(run.state == "succeeded" for run in now.values()):
            return written
        if now != seen:
            seen, moved = now, time.monotonic()
        elif time.monotonic() - moved > _STANDSTILL_S:
            raise CommandFailed(
                f"the runs have written {written} of {expected} partitions and then nothing for "
                f"{_STANDSTILL_S:.0f} s",
                hint="Try again on a machine that is less busy.",
            )
        time.sleep(_POLL_S)


def _progress(dagster: DagsterHttp, run_id: str) -> RunProgress:
    run = dagster.ask(RUN_PROGRESS, {"runId": run_id})["runOrError"]
    return RunProgress(
        state=RUN_STATES[run["status"]],
        materialized=(run["stats"] or {}).get("materializations") or 0,
    )

"""`lake demo`: the whole way once, on parts of its own.

Belongs here: the order of the steps, what is asked at the end, when it counts as passed.
Does not belong here: how a step does its work (`stack`, `sample_data`, Dagster, the service).
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console

from lake_api.cli import tables
from lake_api.cli.client import LakeClient, connect_to
from lake_api.cli.demo_runs import DagsterRuns
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.query import print_answer
from lake_api.cli.signals import ignoring, interrupting
from lake_api.cli.trigger import task_failed, wait_for_end
from lake_api.stack.ports import free_ports
from lake_api.stack.postgres import EmbeddedPostgres
from lake_api.stack.state import StackState, project_root
from lake_api.stack.supervisor import Ports, Supervisor
from lake_api.tasks.schemas import TriggerAnswer
from lake_assets.catalog import Catalog, Dataset, Kind, LakeSource, PostgresSource, load_catalog
from lake_assets.sample_data import SampleSpec, load_sample_data

DAYS = 14
ROWS_PER_DAY = 1000

_POLL_S = 0.5
_PIPE_WIDTH = 110
_TARGETS = ("MINIO_", "LAKE_", "PLATFORM_", "AINATIVE_", "DAGSTER_", "AWS_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody wants to know, and how they ask it."""

    title: str
    sql: str


# The first three are the product specification's own examples.
QUESTIONS = (
    Question(
        title="Agent activity",
        sql="SELECT agent_id, status, COUNT(*) as cnt\n"
        "FROM agent_run_log\n"
        "GROUP BY agent_id, status\n"
        "ORDER BY cnt DESC",
    ),
    Question(
        title="LLM token costs by model",
        sql="SELECT model, SUM(total_tokens) as tokens, SUM(cost_usd) as cost\n"
        "FROM platform_llm_token_usage\n"
        "GROUP BY model\n"
        "ORDER BY cost DESC",
    ),
    Question(title="SCC labor market", sql="SELECT * FROM external_scc_edd_labor LIMIT 50"),
    Question(
        title="What the busiest agents pay for their tokens",
        sql="WITH runs AS (\n"
        "  SELECT agent_id, COUNT(*) AS runs, AVG(duration_ms) AS mean_ms\n"
        "  FROM agent_run_log GROUP BY agent_id\n"
        "), usage AS (\n"
        "  SELECT agent_id, SUM(total_tokens) AS tokens, SUM(cost_usd) AS cost\n"
        "  FROM platform_llm_token_usage GROUP BY agent_id\n"
        ")\n"
        "SELECT agent_id, runs, ROUND(mean_ms) AS mean_ms, tokens, cost,\n"
        "       ROUND(cost / runs, 4) AS cost_per_run\n"
        "FROM runs JOIN usage USING (agent_id)\n"
        "ORDER BY runs DESC LIMIT 10",
    ),
    Question(
        title="What tokens will cost in the next two weeks",
        sql="SELECT target_date, model_name, predicted_cost_usd, lower_cost_usd, upper_cost_usd\n"
        "FROM derived_predictions_token_cost_forecast\n"
        "WHERE series_key = 'total'\n"
        "ORDER BY target_date",
    ),
)
_SHOWN_ROWS = 10


class Steps:
    """What was done, and how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._done: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str) -> Generator[None]:
        """Announce a step, and time it."""
        self._console.print(f"\n→ {title}", style="bold")
        started = time.perf_counter()
        yield
        self._done.append((title, time.perf_counter() - started))

    def print(self) -> None:
        """The closing table."""
        rows = [(title, f"{seconds:.1f}") for title, seconds in self._done]
        rows.append(("all together", f"{sum(seconds for _, seconds in self._done):.1f}"))
        tables.print_rows(self._console, ("step", "seconds"), rows, column_types=("", "DOUBLE"))


def run_demo() -> None:
    """Play it, and remove what it made.

    Raises:
        CommandFailed: a run failed, a question had no answer, or it was interrupted.
        StackError: a part did not start.
    """
    console = tables.stdout()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    steps = Steps(console)
    home = Path(tempfile.mkdtemp(prefix="lake-demo-"))
    api, dagster, code, s3, postgres = free_ports(5)
    supervisor = Supervisor(
        home=home,
        root=project_root(),
        env=own_environment(os.environ, home),
        ports=Ports(api=api, dagster=dagster, code=code, s3=s3, postgres=postgres),
        schedules=False,
        on_event=lambda text: console.print(f"  {text}"),
    )
    with interrupting():
        try:
            _play(supervisor, steps, console)
        except KeyboardInterrupt as error:
            raise CommandFailed(
                "interrupted", hint="Everything that the demo started is stopped and removed."
            ) from error
        finally:
            with ignoring(), steps.step("Stop everything and remove it"):
                supervisor.stop()
                EmbeddedPostgres(home / "postgres").discard()
                shutil.rmtree(home)
    steps.print()


def own_environment(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment without a way to somebody's own servers, and with temporary files at home."""
    kept = {name: value for name, value in env.items() if not name.startswith(_TARGETS)}
    scratch = home / "tmp"
    scratch.mkdir()
    return {**kept, "TMPDIR": str(scratch)}


def _play(supervisor: Supervisor, steps: Steps, console: Console) -> None:
    catalog = load_catalog()
    today = datetime.now(tz=UTC).date()
    with steps.step("Start S3, Postgres, Dagster, service"):
        state = supervisor.start()
    with connect_to(state) as client:
        with steps.step("Fill Postgres, make the bucket"):
            launched = client.trigger("lake.ensure_bucket", {})
            _fill(state, catalog, today, console)
            _wait_for(client, launched)
            console.print(f"  {launched.task} succeeded")
        with steps.step(f"Write {DAYS} days through Dagster runs"):
            _materialize(state, client, catalog, today, console)
        with steps.step("Forecast and judge, in one run"):
            _derive(state, client, catalog, today, console)
        with steps.step("Ask over HTTP"):
            for question in QUESTIONS:
                _ask(client, question, catalog, console)


def _fill(state: StackState, catalog: Catalog, today: date, console: Console) -> None:
    assert state.owner_database_url is not None  # noqa: S101 - the demo's database is embedded
    spec = SampleSpec(last_day=today - timedelta(days=1), days=DAYS, rows_per_day=ROWS_PER_DAY)
    total = len(_platform(catalog, Kind.EVENT)) + len(_platform(catalog, Kind.SNAPSHOT))
    with live_line(console) as line:
        done = 0

        def follow(_partition: str, _rows: int) -> None:
            nonlocal done
            done += 1
            line("  tables filled", done=done, total=total)

        report = load_sample_data(state.owner_database_url, catalog, spec, progress=follow)
    console.print(f"  {report.rows:,} rows of {DAYS} days in {len(report.tables)} tables")


def _wait_for(client: LakeClient, launched: TriggerAnswer) -> None:
    ended = wait_for_end(client, launched.task_id, follow=lambda _: None)
    if ended.status != "succeeded":
        raise task_failed(client, launched.task, ended)


def _materialize(
    state: StackState, client: LakeClient, catalog: Catalog, today: date, console: Console
) -> None:
    events, snapshots = _platform(catalog, Kind.EVENT), _platform(catalog, Kind.SNAPSHOT)
    expected = len(events) * DAYS + len(snapshots)
    range_tags = {
        "dagster/asset_partition_range_start": (today - timedelta(days=DAYS)).isoformat(),
        "dagster/asset_partition_range_end": (today - timedelta(days=1)).isoformat(),
    }
    with DagsterRuns(state.dagster_url) as runs, live_line(console) as line:
        launched = [
            # Two runs, because two cores are what the smallest machine has.
            runs.launch("platform_events", events[::2], range_tags),
            runs.launch("platform_events", events[1::2], range_tags),
            runs.launch("platform_snapshots", snapshots, {"dagster/partition": today.isoformat()}),
        ]
        _follow(runs, launched, expected, client, line)
    count = len(events) + len(snapshots)
    console.print(f"  {expected} partitions of {count} datasets in {len(launched)} runs")


def _derive(
    state: StackState, client: LakeClient, catalog: Catalog, today: date, console: Console
) -> None:
    """What follows from events up to yesterday; snapshots begin today, so theirs comes later."""
    derived = [
        dataset
        for dataset in catalog
        if isinstance(dataset.source, LakeSource)
        and all(catalog[one].kind is Kind.EVENT for one in dataset.source.upstreams)
    ]
    day = (today - timedelta(days=1)).isoformat()
    with DagsterRuns(state.dagster_url) as runs, live_line(console) as line:
        run_id = runs.launch("__ASSET_JOB", derived, {"dagster/partition": day})
        _follow(runs, [run_id], len(derived), client, line)
    console.print(f"  {len(derived)} datasets as of {day}")


def _follow(
    runs: DagsterRuns,
    launched: Sequence[str],
    expected: int,
    client: LakeClient,
    line: Callable[..., None],
) -> None:
    """Wait until the runs have ended well, with as many partitions as expected."""
    while True:
        stands = {run_id: runs.progress(run_id) for run_id in launched}
        for run_id, stand in stands.items():
            if stand.state in {"failed", "canceled"}:
                raise task_failed(client, "a run over many datasets", client.task(run_id))
        written = sum(stand.materialized for stand in stands.values())
        line("  partitions written", done=written, total=expected)
        if all(stand.state == "succeeded" for stand in stands.values()):
            break
        time.sleep(_POLL_S)
    if written != expected:
        raise CommandFailed(
            f"the runs wrote {written} of {expected} partitions",
            hint="`lake up` shows the same in a Dagster UI that stays.",
        )


def _ask(client: LakeClient, question: Question, catalog: Catalog, console: Console) -> None:
    console.print(f"\n{question.title}", style="bold")
    console.print(question.sql, style="cyan")
    answer, _ = client.query(question.sql, limit=_SHOWN_ROWS)
    if answer.error is not None:
        raise CommandFailed(
            f"“{question.title}” could not be answered: {answer.error.detail}",
            hint="Run the demo again.",
        )
    print_answer(answer, console, more=f"the demo shows {_SHOWN_ROWS}")
    is_exported = all(
        isinstance(catalog[partition].source, PostgresSource) for partition in answer.partitions
    )
    if is_exported and not answer.row_count:
        raise CommandFailed(
            f"“{question.title}” was answered without rows",
            hint="The runs wrote nothing that it reads: this is a bug of the demo.",
        )


def _platform(catalog: Catalog, kind: Kind) -> list[Dataset]:
    return [
        dataset
        for dataset in catalog
        if isinstance(dataset.source, PostgresSource) and dataset.kind is kind
    ]

"""`lake demo`: the whole way once, on parts of its own.

Belongs here: the order of the steps, what is asked at the end, when it counts as passed.
Does not belong here: how a step does its work (`stack`, `sample_data`, Dagster, the service).
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console

from lake_api.cli import tables
from lake_api.cli.client import LakeClient, connect_to
from lake_api.cli.dagster_http import DagsterHttp
from lake_api.cli.demo_logs import keep_logs
from lake_api.cli.demo_questions import QUESTIONS, Question
from lake_api.cli.demo_runs import Work, write_all
from lake_api.cli.failure import CommandFailed
from lake_api.cli.progress import live_line
from lake_api.cli.query import print_answer
from lake_api.cli.signals import ignoring, interrupting
from lake_api.cli.trigger import task_failed, wait_for_end
from lake_api.stack.errors import StackError
from lake_api.stack.fakes import require_fakes
from lake_api.stack.ports import free_ports
from lake_api.stack.postgres import EmbeddedPostgres
from lake_api.stack.state import StackState, project_root
from lake_api.stack.supervisor import Ports, Supervisor
from lake_api.tasks.dagster import ASSET_JOB
from lake_api.tasks.schemas import TriggerAnswer
from lake_assets.catalog import (
    Catalog,
    Dataset,
    ExternalSource,
    Kind,
    LakeSource,
    PostgresSource,
    load_catalog,
)
from lake_assets.sample_data import SampleSpec, load_sample_data
from lake_assets.sources.config import setting_names

DAYS = 14
FORECAST_DAYS = 63
"""Nine weeks: as many as the backtests that choose a model want."""
ROWS_PER_DAY = 1000

_PIPE_WIDTH = 110
_TARGETS = ("MINIO_", "LAKE_", "PLATFORM_", "AINATIVE_", "DAGSTER_", "AWS_")


STEPS = (
    "Start S3, Postgres, Dagster, the service and stand-ins for outside sources",
    "Fill Postgres with sample data, ensure the bucket",
    f"Write {DAYS} days of every Postgres dataset through Dagster runs",
    f"Forecast the next two weeks from {FORECAST_DAYS} days, and look for anomalies",
    "Ask over HTTP",
    "Stop everything and remove it",
)
"""What it says that it does, in this order."""
_START, _FILL, _WRITE, _DERIVE, _QUESTIONS, _STOP = STEPS
_SHOWN_ROWS = 10
_FORECAST = "_forecast"
_BUSY = "Try again on a machine that is less busy."


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
    """Play it, and remove what it made; of one that fails, the logs stay.

    Raises:
        CommandFailed: a part did not start, a run failed, a question had no answer, or it was
            interrupted.
    """
    console = tables.stdout()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    steps = Steps(console)
    require_fakes(project_root())
    home = Path(tempfile.mkdtemp(prefix="lake-demo-"))
    api, dagster, code, s3, postgres = free_ports(5)
    supervisor = Supervisor(
        home=home,
        root=project_root(),
        env=own_environment(os.environ, home),
        ports=Ports(api=api, dagster=dagster, code=code, s3=s3, postgres=postgres),
        schedules=False,
        with_fakes=True,
        on_event=lambda text: console.print(f"  {text}"),
    )
    failure: CommandFailed | None = None
    cause: BaseException | None = None
    with interrupting():
        try:
            _play(supervisor, steps, console)
        except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - told after the clean-up
            failure, cause = _told(error), error
        finally:
            with ignoring(), steps.step(_STOP):
                supervisor.stop()
                EmbeddedPostgres(home / "postgres").discard()
                if failure is not None:
                    kept = keep_logs(home)
                    failure.hint = f"{failure.hint} The logs of all parts and runs are in {kept}"
                _remove(home, console)
    if failure is not None:
        raise failure from cause
    steps.print()


def _told(error: BaseException) -> CommandFailed:
    """What went wrong as the command tells it."""
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, StackError):
        return CommandFailed(error.message, hint=error.hint, details=error.log)
    if isinstance(error, KeyboardInterrupt):
        return CommandFailed("interrupted", hint="What the demo had started is stopped.")
    why = next(iter(str(error).splitlines()), "") or "no reason given"
    return CommandFailed(f"{type(error).__name__}: {why}", hint="Run the demo again.")


def _remove(home: Path, console: Console) -> None:
    try:
        shutil.rmtree(home)
    except OSError as error:
        console.print(f"  {home} could not be removed whole: {error.strerror}", style="yellow")


def own_environment(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment without any setting of the lake, and with temporary files at home.

    The demo leads to nobody's own servers, and a setting that can't be used does not end it.
    """
    settings = setting_names()
    kept = {
        name: value
        for name, value in env.items()
        if not (name.upper().startswith(_TARGETS) or name.upper() in settings)
    }
    scratch = home / "tmp"
    scratch.mkdir()
    return {**kept, "TMPDIR": str(scratch)}


def _play(supervisor: Supervisor, steps: Steps, console: Console) -> None:
    catalog = load_catalog()
    today = datetime.now(tz=UTC).date()
    with steps.step(_START):
        state = supervisor.start()
    with connect_to(state) as client, DagsterHttp(state.dagster_url, hint=_BUSY) as dagster:
        with steps.step(_FILL):
            launched = client.trigger("lake.ensure_bucket", {})
            _fill(state, catalog, today, console)
            _wait_for(client, launched, console)
        with steps.step(_WRITE):
            _collect(client, catalog, console)
            _materialize(dagster, client, catalog, today, console)
        with steps.step(_DERIVE):
            _derive(dagster, client, catalog, today, console)
        with steps.step(_QUESTIONS):
            for question in QUESTIONS:
                _ask(client, question, console)


def _fill(state: StackState, catalog: Catalog, today: date, console: Console) -> None:
    assert state.owner_database_url is not None  # noqa: S101 - the demo's database is embedded
    forecast = _forecast_inputs(catalog)
    spec = SampleSpec(
        last_day=today - timedelta(days=1),
        days=DAYS,
        rows_per_day=ROWS_PER_DAY,
        days_of={dataset.partition: FORECAST_DAYS for dataset in forecast},
    )
    total = len(_platform(catalog, Kind.EVENT)) + len(_platform(catalog, Kind.SNAPSHOT))
    with live_line(console) as line:
        done = 0

        def follow(_partition: str, _rows: int) -> None:
            nonlocal done
            done += 1
            line("  tables filled", done=done, total=total)

        report = load_sample_data(state.owner_database_url, catalog, spec, progress=follow)
    console.print(
        f"  {report.rows:,} rows of {DAYS} days in {len(report.tables)} tables; "
        f"of {FORECAST_DAYS} days in the {len(forecast)} that are forecast"
    )


def _wait_for(client: LakeClient, launched: TriggerAnswer, console: Console) -> None:
    ended = wait_for_end(client, launched.task_id, follow=lambda _: None)
    if ended.status != "succeeded":
        raise _without_link(task_failed(client, launched.task, ended))
    console.print(f"  {launched.task} succeeded")


def _without_link(failure: CommandFailed) -> CommandFailed:
    """The failure of a run whose Dagster UI is gone when somebody reads of it."""
    return CommandFailed(failure.message, hint="Its log is among those of the demo.")


def _collect(client: LakeClient, catalog: Catalog, console: Console) -> None:
    """What the questions want to know of outside sources, from their stand-ins."""
    asked = [
        dataset
        for dataset in catalog
        if isinstance(dataset.source, ExternalSource)
        and any(dataset.sql_name in question.sql for question in QUESTIONS)
    ]
    for dataset in asked:
        _wait_for(client, client.trigger(dataset.daily_task, {}), console)


def _materialize(
    dagster: DagsterHttp, client: LakeClient, catalog: Catalog, today: date, console: Console
) -> None:
    forecast = _forecast_inputs(catalog)
    events = [one for one in _platform(catalog, Kind.EVENT) if one not in forecast]
    works = [
        Work(
            job="platform_events", datasets=datasets, days=days,
            tags={
                "dagster/asset_partition_range_start": (today - timedelta(days=days)).isoformat(),
                "dagster/asset_partition_range_end": (today - timedelta(days=1)).isoformat(),
            },
        )
        for datasets, days in ((forecast, FORECAST_DAYS), (events, DAYS))
    ]  # fmt: skip
    works.append(
        Work(
            job="platform_snapshots",
            datasets=_platform(catalog, Kind.SNAPSHOT),
            tags={"dagster/partition": today.isoformat()},
        )
    )
    with live_line(console) as line:
        runs = write_all(dagster, works, line=line, failed=_run_failed(client))
    partitions = sum(work.partitions for work in works)
    datasets = sum(len(work.datasets) for work in works)
    console.print(f"  {partitions} partitions of {datasets} datasets in {runs} runs")


def _derive(
    dagster: DagsterHttp, client: LakeClient, catalog: Catalog, today: date, console: Console
) -> None:
    """What follows from events up to yesterday; snapshots begin today, so theirs comes later."""
    derived = [
        dataset
        for dataset in catalog
        if isinstance(dataset.source, LakeSource)
        and all(catalog[one].kind is Kind.EVENT for one in dataset.source.upstreams)
    ]
    day = (today - timedelta(days=1)).isoformat()
    work = Work(job=ASSET_JOB, datasets=derived, tags={"dagster/partition": day})
    with live_line(console) as line:
        write_all(dagster, [work], line=line, failed=_run_failed(client))
    console.print(f"  {len(derived)} datasets as of {day}")


def _run_failed(client: LakeClient) -> Callable[[str], CommandFailed]:
    def failed(run_id: str) -> CommandFailed:
        ended = client.task(run_id)
        return _without_link(task_failed(client, "a run over several datasets", ended))

    return failed


def _ask(client: LakeClient, question: Question, console: Console) -> None:
    console.print(f"\n{question.title}", style="bold")
    console.print(question.sql, style="cyan")
    answer, _ = client.query(question.sql, limit=_SHOWN_ROWS)
    if answer.error is not None:
        raise CommandFailed(
            f"“{question.title}” could not be answered: {answer.error.detail}",
            hint="Run the demo again.",
        )
    print_answer(answer, console, more=f"the demo shows {_SHOWN_ROWS}")
    if question.note:
        console.print(question.note, style="yellow")
    if not answer.row_count:
        raise CommandFailed(
            f"“{question.title}” was answered without rows",
            hint="The runs wrote nothing that it reads: this is a bug of the demo.",
        )


def _forecast_inputs(catalog: Catalog) -> list[Dataset]:
    """What forecasts are made of: a model is chosen by days that it was not shown."""
    wanted = {
        upstream
        for dataset in catalog
        if dataset.partition.endswith(_FORECAST)
        for upstream in dataset.upstreams
    }
    return [dataset for dataset in _platform(catalog, Kind.EVENT) if dataset.partition in wanted]


def _platform(catalog: Catalog, kind: Kind) -> list[Dataset]:
    return [
        dataset
        for dataset in catalog
        if isinstance(dataset.source, PostgresSource) and dataset.kind is kind
    ]

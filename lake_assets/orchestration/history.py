"""What Dagster keeps of the past, and what it forgets.

Belongs here: the rule, pruning the storage on disk, and the job that does it daily.
Does not belong here: how long ticks are kept, which `dagster.yaml` says.

Dagster deletes no event by itself. Of what is older than `LAKE_HISTORY_DAYS`:
- Runs stay, with their status, tags and times. Of their events stay how they began and ended, and
  every failure; their logs on disk go.
- Of each asset and day stays the newest event of each kind: the last materialization, the last
  observation. The plan of a materialization that came goes.
- Of each check stays the newest execution of each outcome.

Nothing that decides a partition's status, an asset's last materialization or a check's state is
among what goes. Storage of another kind than SQLite is left to whoever runs it.
"""

import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from lake_assets.catalog.settings import read_lake_setting
from lake_assets.orchestration.assets import Clock

_BUSY_S = 60.0
_ROWS_AT_ONCE = 2_000
_RUNS_AT_ONCE = 500
# An old run's file is a few rows in a dozen tables; small pages make it a tenth of the size.
_PAGE_BYTES = 512
# Written into a file's header, so that one that was pruned is not opened again.
_PRUNED = 0x1A4E
_VERSION_AT = 60
_FREE_SHARE = 0.2
_KEPT_OF_RUNS = (
    *("PIPELINE_STARTING", "PIPELINE_START", "PIPELINE_SUCCESS", "PIPELINE_FAILURE"),
    *("PIPELINE_CANCELING", "PIPELINE_CANCELED", "PIPELINE_ENQUEUED"),
    *("STEP_FAILURE", "HOOK_ERRORED", "ASSET_FAILED_TO_MATERIALIZE"),
)
_OLD_EXECUTIONS = """
SELECT id FROM asset_check_executions
WHERE coalesce(evaluation_event_timestamp, create_timestamp) < :before
AND id NOT IN (
    SELECT max(id) FROM asset_check_executions WHERE execution_status <> 'PLANNED'
    GROUP BY asset_key, check_name, partition, execution_status
)
AND id NOT IN (SELECT max(id) FROM asset_check_executions GROUP BY asset_key, check_name)
"""
# Ids of SQLite come again where the largest one is deleted, and cursors of sensors know them.
_OLD_EVENTS = """
WITH newest AS (
    SELECT max(id) AS id, asset_key, partition, dagster_event_type FROM event_logs
    WHERE asset_key IS NOT NULL GROUP BY asset_key, partition, dagster_event_type
)
SELECT e.id FROM event_logs e
WHERE e.timestamp < :before
AND e.id < (SELECT max(id) FROM event_logs)
AND e.id NOT IN (
    SELECT evaluation_event_storage_id FROM asset_check_executions
    WHERE evaluation_event_storage_id IS NOT NULL
)
AND (
    e.asset_key IS NULL
    OR e.dagster_event_type IN ('ASSET_CHECK_EVALUATION', 'ASSET_CHECK_EVALUATION_PLANNED')
    OR e.id NOT IN (SELECT id FROM newest)
    OR (
        e.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'
        AND EXISTS (
            SELECT 1 FROM newest n WHERE n.asset_key = e.asset_key AND n.partition IS e.partition
            AND n.dagster_event_type = 'ASSET_MATERIALIZATION' AND n.id > e.id
        )
    )
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went: rows, whole runs' logs, and how many bytes the directory has lost."""

    runs: int
    events: int
    executions: int
    freed_bytes: int


def prune(instance: dg.DagsterInstance, *, before: datetime) -> Pruned | None:
    """Forget what is older than `before`; None where the storage is not SQLite.

    Safe to be stopped at any moment, and to be run beside runs: rows go in short transactions.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return None
    index = Path(storage.path_for_shard("index"))
    size_bytes = _size_of(index.parents[1])
    runs = sum(_prune_run(instance, storage, run_id) for run_id in _ended(instance, before))
    limit = before.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    with closing(_open(index)) as connection:
        executions = _delete(connection, "asset_check_executions", _OLD_EXECUTIONS, limit)
        events = _delete(connection, "event_logs", _OLD_EVENTS, limit)
        orphans = (
            "SELECT id FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"
        )
        _delete(connection, "asset_event_tags", orphans, limit)
        _give_back(connection)
    return Pruned(
        runs=runs,
        events=events,
        executions=executions,
        freed_bytes=size_bytes - _size_of(index.parents[1]),
    )


def _ended(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    filters = dg.RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before)
    cursor: str | None = None
    while True:
        found = instance.get_run_ids(filters, cursor=cursor, limit=_RUNS_AT_ONCE)
        yield from found
        if len(found) < _RUNS_AT_ONCE:
            return
        cursor = found[-1]


def _prune_run(instance: dg.DagsterInstance, storage: SqliteEventLogStorage, run_id: str) -> bool:
    """Whether there was something of this run to forget."""
    path = Path(storage.path_for_shard(run_id))
    if not path.exists() or _is_pruned(path):
        return False
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
    kept = ", ".join("?" for _ in _KEPT_OF_RUNS)
    with closing(_open(path)) as connection:
        connection.execute(
            "DELETE FROM event_logs WHERE dagster_event_type IS NULL "  # noqa: S608 - our own names
            f"OR dagster_event_type NOT IN ({kept})",
            _KEPT_OF_RUNS,
        )
        # The size of pages can't be changed with a write-ahead log, and nobody writes here.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("VACUUM")
        connection.execute(f"PRAGMA user_version = {_PRUNED}")
    return True


def _is_pruned(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_VERSION_AT)
        version = file.read(4)
    return len(version) == 4 and struct.unpack(">I", version)[0] == _PRUNED


def _open(path: Path) -> sqlite3.Connection:
    # Each statement is its own transaction: the runs that write beside wait for none of them long.
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)


def _delete(connection: sqlite3.Connection, table: str, select: str, before: str) -> int:
    ids = [row[0] for row in connection.execute(select, {"before": before})]
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        some = ids[start : start + _ROWS_AT_ONCE]
        marks = ", ".join("?" for _ in some)
        connection.execute(f"DELETE FROM {table} WHERE id IN ({marks})", some)  # noqa: S608
    return len(ids)


def _give_back(connection: sqlite3.Connection) -> None:
    """Return freed pages to the disk, once they are worth rewriting the file."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free > pages * _FREE_SHARE:
        connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _size_of(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def build_history(
    *, running: bool, env: Mapping[str, str], clock: Clock
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job that forgets, and its schedule; `env` is read at each run."""

    @dg.op(description="Forget what Dagster need not keep: LAKE_HISTORY_DAYS.")
    def prune_dagster_history(context: dg.OpExecutionContext) -> None:
        days: int = read_lake_setting("LAKE_HISTORY_DAYS", env)
        before: datetime = clock().astimezone(UTC) - timedelta(days=days)
        pruned = prune(context.instance, before=before)
        if pruned is None:
            context.log.info("Dagster's storage is not SQLite; it is left as it is.")
            return
        context.log.info(
            f"Older than {days} days: logs of {pruned.runs} runs, {pruned.events} events and "
            f"{pruned.executions} executions of checks; {pruned.freed_bytes / 1e6:.1f} MB freed"
        )

    @dg.job(description="Task lake.prune_history: old events and logs of Dagster.")
    def prune_history() -> None:
        prune_dagster_history()

    schedule = dg.ScheduleDefinition(
        name="prune_history_daily",
        job=prune_history,
        cron_schedule="30 12 * * *",
        execution_timezone="UTC",
        description="Runs lake.prune_history, at noon, when little else runs.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )
    return prune_history, schedule

"""How much Dagster keeps of a year, before and after `prune_history`.

Belongs here: a year of runs with materializations and checks, in a storage of its own.
Does not belong here: the rule (`lake_assets.orchestration.history`).

One run really happens. Those of the other days are copies of its rows and files, with an id, a
partition and timestamps of their own; that Dagster takes them for runs of these days is checked.
"""

import argparse
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from lake_assets.orchestration.history import prune

_CHECKS = 8
_COLUMNS = 15


def main(arguments: Sequence[str]) -> int:
    """Print megabytes before and after."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks history")
    parser.add_argument("--datasets", type=int, default=20)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--keep-days", type=int, default=30)
    options = parser.parse_args(arguments)
    today = datetime.now(tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=options.days)
    partitions = dg.DailyPartitionsDefinition(first)
    assets = [_asset(f"dataset_{number}", partitions) for number in range(options.datasets)]
    quiet = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "INFO"}}
    with (
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.local_temp(folder, overrides=quiet) as instance,
    ):
        directory = Path(folder)
        keys = partitions.get_partition_keys()
        run_id = dg.materialize(assets, partition_key=keys[0], instance=instance).run_id
        _copy_run(directory, run_id, keys)
        for asset in assets:
            instance.event_log_storage.wipe_asset_cached_status(asset.key)
        before, known = _megabytes(directory), _statuses(instance, assets, partitions)
        assert all(set(one.values()) == {AssetPartitionStatus.MATERIALIZED} for one in known)
        started = time.monotonic()
        prune(instance, before=today - timedelta(days=options.keep_days))
        took_s, after = time.monotonic() - started, _megabytes(directory)
        for asset in assets:
            instance.event_log_storage.wipe_asset_cached_status(asset.key)
        assert _statuses(instance, assets, partitions) == known
    count = options.datasets * options.days
    print(f"{options.datasets} datasets, {options.days} days, {count} partitions")
    print(f"before: {before:.1f} MB, {before * 1000 / count:.1f} kB a partition")
    print(f"after:  {after:.1f} MB, {after * 1000 / count:.1f} kB a partition; took {took_s:.1f} s")
    return 0


def _asset(name: str, partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(name=f"column_{number}", type="string", description="What it says. " * 3)
            for number in range(_COLUMNS)
        ]
    )
    checks = [f"check_{number}" for number in range(_CHECKS)]

    @dg.asset(
        name=name,
        partitions_def=partitions,
        check_specs=[
            dg.AssetCheckSpec(check, asset=name, description="A sentence about it.")
            for check in checks
        ],
    )
    def written(context: dg.AssetExecutionContext) -> Iterator[object]:
        context.log.info(f"{name} {context.partition_key}: 5,000 rows, 250,000 bytes")
        yield dg.Output(
            None,
            metadata={
                "source": "platform", "dagster/column_schema": schema, "rows": 5_000,
                "dagster/partition_row_count": 5_000, "bytes": 250_000, "key": name,
            },
        )  # fmt: skip
        for check in checks:
            yield dg.AssetCheckResult(
                check_name=check, passed=True, metadata={"days_checked": 1, "failing_days": {}}
            )

    return written


def _copy_run(directory: Path, run_id: str, keys: Sequence[str]) -> None:
    """Runs of the days after the first, and the first one's timestamps set back to its day."""
    history, age = directory / "history", len(keys)
    shard = history / "runs" / f"{run_id}.db"
    copies = [(str(uuid.uuid4()), key, number) for number, key in enumerate(keys)][1:]
    with closing(_open(history / "runs" / "index.db")) as index:
        span = int(index.execute("SELECT max(id) FROM event_logs").fetchone()[0])
        for table in ("event_logs", "asset_check_executions", "asset_event_tags"):
            _set_back(index, table, days=age)
        for new_id, key, number in copies:
            for table, ids in (
                ("event_logs", ("id",)),
                (
                    "asset_check_executions",
                    ("evaluation_event_storage_id", "materialization_event_storage_id"),
                ),
                ("asset_event_tags", ("event_id",)),
            ):
                _copy_rows(
                    index, table, (run_id, new_id), (keys[0], key), days=number,
                    shifted=dict.fromkeys(ids, number * span),
                )  # fmt: skip
        index.commit()
    with closing(_open(history / "runs.db")) as runs:
        _set_back(runs, "runs", days=age)
        for new_id, key, number in copies:
            for table in ("runs", "run_tags"):
                _copy_rows(runs, table, (run_id, new_id), (keys[0], key), days=number, shifted={})
        runs.commit()
    with closing(_open(shard)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for new_id, _, _ in copies:
        shutil.copy(shard, shard.with_name(f"{new_id}.db"))
        for folder in (directory / "storage" / run_id, directory / run_id):
            if folder.exists():
                shutil.copytree(folder, folder.with_name(new_id))


_TIMES = frozenset(
    {"timestamp", "create_timestamp", "update_timestamp", "evaluation_event_timestamp"}
    | {"event_timestamp"}
)


def _columns(connection: sqlite3.Connection, table: str) -> Sequence[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _set_back(connection: sqlite3.Connection, table: str, *, days: int) -> None:
    times = [name for name in _columns(connection, table) if name in _TIMES]
    changes = ", ".join(f"{name} = datetime({name}, '-{days} days')" for name in times)
    connection.execute(f"UPDATE {table} SET {changes}")


def _copy_rows(
    connection: sqlite3.Connection,
    table: str,
    ids: tuple[str, str],
    keys: tuple[str, str],
    *,
    days: int,
    shifted: Mapping[str, int],
) -> None:
    """The first run's rows once more, `days` later."""
    names = [name for name in _columns(connection, table) if name != "id" or name in shifted]
    values: list[str] = []
    for name in names:
        if name in shifted:
            values.append(f"{name} + {shifted[name]}")
        elif name in _TIMES:
            values.append(f"datetime({name}, '+{days} days')")
        elif name in {"run_id", "event", "evaluation_event", "partition", "run_body", "value"}:
            values.append(
                f"replace(replace({name}, '{ids[0]}', '{ids[1]}'), '{keys[0]}', '{keys[1]}')"
            )
        else:
            values.append(name)
    where = {
        "asset_event_tags": "event_id <= (SELECT max(id) FROM event_logs WHERE run_id = ?)",
    }.get(table, "run_id = ?")
    connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}) "
        f"SELECT {', '.join(values)} FROM {table} WHERE {where}",
        (ids[0],),
    )


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=60.0)


def _statuses(
    instance: dg.DagsterInstance,
    assets: Sequence[dg.AssetsDefinition],
    partitions: dg.DailyPartitionsDefinition,
) -> Sequence[Mapping[str, AssetPartitionStatus | None]]:
    keys = partitions.get_partition_keys()
    found = (instance.get_status_by_partition(asset.key, keys, partitions) for asset in assets)
    return [one or {} for one in found]


def _megabytes(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6

"""DuckDB, opened so that it can read the cached objects and do nothing else, with proof.

Belongs here: the engine's settings, in the one order in which they can be made, read back; and
the attempts that must fail before a worker serves.
Does not belong here: the process's own limits (`sandbox`), running queries (`session`).
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import duckdb

from lake_api.query.messages import WorkerConfig

MAX_EXPRESSION_DEPTH = 500
"""More than any text has that passes the guard: the engine counts up to 6 for one sub-query."""

AT_CONNECT: Mapping[str, str] = MappingProxyType(
    {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "allow_unsigned_extensions": "false",
        "allow_persistent_secrets": "false",
        "python_enable_replacements": "false",
        "memory_limit": "{memory_bytes}B",
        "threads": "{threads}",
        # A temp directory would silently join the allowed directories.
        "temp_directory": "",
        "errors_as_json": "true",
    }
)
"""The settings that an engine starts with; braces name fields of `WorkerConfig`."""

# SET alone is not inherited by cursors. The order matters: allowed directories can't be set after
# external access is off, and nothing can after the lock.
STATEMENTS: tuple[str, ...] = (
    "SET GLOBAL TimeZone = 'UTC'",
    f"SET GLOBAL max_expression_depth = {MAX_EXPRESSION_DEPTH}",
    "SET GLOBAL preserve_insertion_order = true",
    "SET GLOBAL parquet_metadata_cache = true",
    # It reads whole row groups ahead, of several files, into memory; the files are on local disk,
    # where reading what is needed is as fast (`benchmarks/README.md`).
    "SET GLOBAL disable_parquet_prefetching = true",
    # A file's name has its ETag's digest: what was read once under it never changes.
    "SET GLOBAL validate_external_file_cache = 'NO_VALIDATION'",
    "SET GLOBAL allowed_directories = [{objects}]",
    "SET GLOBAL enable_external_access = false",
    "SET GLOBAL lock_configuration = true",
)
"""What is set then, in this order."""
_WARM_UP = "SELECT now(), 1.5::DECIMAL(3, 1), uuid(), INTERVAL 1 DAY, DATE '2024-01-01'"


class NotLocked(RuntimeError):
    """The engine could do what it must not be able to do."""


def create_empty_database(path: str) -> None:
    """An empty database file, to be opened read-only; must happen before the limits."""
    if not Path(path).exists():
        duckdb.connect(path).close()


def open_locked(
    config: WorkerConfig,
    *,
    at_connect: Mapping[str, str] = AT_CONNECT,
    statements: Sequence[str] = STATEMENTS,
) -> duckdb.DuckDBPyConnection:
    """A connection that is locked and has proved it.

    Args:
        config: Where it may read and how much it may use.
        at_connect: The settings that it starts with; tests leave one out to see it refused.
        statements: What is set then; tests leave one out as well.

    Raises:
        NotLocked: a setting does not read back, or an attempt that must fail did not.
    """
    values = {"memory_bytes": config.memory_bytes, "threads": config.threads}
    connection = duckdb.connect(
        config.database,
        read_only=True,
        config={name: value.format(**values) for name, value in at_connect.items()},
    )
    for statement in statements:
        connection.execute(statement.format(objects=_text(config.objects_dir)))
    _check_settings(connection, config)
    _check_attempts(connection, config)
    # Imports what turns values into Python's, so that the first query does not pay for it.
    connection.execute(_WARM_UP).fetchall()
    return connection


def _check_settings(connection: duckdb.DuckDBPyConnection, config: WorkerConfig) -> None:
    expected = {
        "access_mode": "read_only",
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "allow_unsigned_extensions": "false",
        "allowed_configs": "[]",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_external_access": "false",
        "errors_as_json": "true",
        "lock_configuration": "true",
        "max_expression_depth": str(MAX_EXPRESSION_DEPTH),
        "python_enable_replacements": "false",
        "temp_directory": "",
        "threads": str(config.threads),
        "TimeZone": "UTC",
    }
    # Read on a cursor, because a cursor is what queries run on.
    with contextlib.closing(connection.cursor()) as cursor:
        rows = cursor.execute("SELECT name, value FROM duckdb_settings()").fetchall()
        # Lists as lists: as text, a path with a comma or a quote is written in another way.
        lists = cursor.execute(
            "SELECT current_setting('allowed_directories'), current_setting('allowed_paths')"
        ).fetchall()
    actual = {str(name): str(value) for name, value in rows}
    for name, value in expected.items():
        if actual.get(name) != value:
            raise NotLocked(f"the setting {name} is not {value!r}")
    if not 0 < _size_bytes(actual.get("memory_limit", "")) <= config.memory_bytes:
        raise NotLocked("the setting memory_limit is not what was asked for")
    ((directories, paths),) = lists
    if directories != [f"{config.objects_dir.rstrip('/')}/"]:
        raise NotLocked(f"the setting allowed_directories is not {config.objects_dir!r} alone")
    # The engine itself adds the database's own files, and nothing else may be there.
    for path in paths:
        if not path.startswith(config.database):
            raise NotLocked("the setting allowed_paths has other paths")


def _check_attempts(connection: duckdb.DuckDBPyConnection, config: WorkerConfig) -> None:
    """Try what must fail, each on a cursor of its own; the canary is a file outside the cache."""
    inside = _text(f"{config.objects_dir}/.lock-proof.csv")
    canary = _text(config.canary)
    # Each with a word that its refusal must have, so that no other failure passes for one.
    attempts = {
        f"FROM read_text({canary})": "Permission",
        f"FROM {canary}": "",
        "SET threads = 1": "locked",
        "RESET enable_external_access": "locked",
        "ATTACH ':memory:' AS other": "",
        "CREATE TABLE proof (a INTEGER)": "read-only",
        "LOAD httpfs": "",
        "INSTALL httpfs": "",
        f"COPY (SELECT 1) TO {inside}": "",
    }
    for statement, reason in attempts.items():
        with contextlib.closing(connection.cursor()) as cursor:
            try:
                cursor.execute(statement).fetchall()
            except duckdb.Error as error:
                if reason not in str(error):
                    raise NotLocked(f"`{statement.split()[0]}` failed for another reason") from None
            else:
                raise NotLocked(f"`{statement.split()[0]}` was possible")


def _size_bytes(text: str) -> float:
    """What the engine means by, for example, `190.7 MiB`; 0 for what has no unit of this kind."""
    amount, _, unit = text.partition(" ")
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    return float(amount) * 1024 ** units.index(unit) if unit in units else 0.0


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"

"""The process that writes a segment: cached Parquet in, one DuckDB file out.

Belongs here: the build, and this process's own limits. It runs the project's statements only,
never a caller's, and like every engine process it has no credentials and no network use.
Does not belong here: when one is built (`lake_api.query.segments`).

Started as `python -I -m lake_api.query.worker.compact`; reads one `CompactJob` from standard
input and ends with 0 when the file is there, whole.
"""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec

from lake_api.query.messages import CompactJob, View, decode_compact, read_frame
from lake_api.query.worker.sandbox import die_with_parent
from lake_api.query.worker.views import quoted_name, quoted_text, rows_sql, table_columns_sql

_FILES_AT_ONCE = 100
_NICENESS = 15


def main() -> int:
    """Build what standard input asks for."""
    die_with_parent()
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    body = read_frame(sys.stdin.buffer)
    if body is None:
        return 1
    build(decode_compact(body))
    return 0


def build(job: CompactJob) -> None:
    """Write the segment under a name of its own, and rename it once it is whole.

    Raises:
        duckdb.Error: a file can't be read as the view has it, or memory did not do.
    """
    part = Path(f"{job.target}.part")
    part.unlink(missing_ok=True)
    try:
        _write(job, part)
        part.chmod(0o400)
        part.rename(job.target)
    finally:
        part.unlink(missing_ok=True)
        Path(f"{part}.wal").unlink(missing_ok=True)


def _write(job: CompactJob, part: Path) -> None:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{job.memory_bytes}B",
        # One thread keeps the files' order, which is that of the days: scans skip by it.
        "threads": "1",
        "temp_directory": "",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }
    with duckdb.connect(str(part), config=config) as connection:
        folders = ", ".join(map(quoted_text, job.readable))
        for statement in (
            "SET GLOBAL TimeZone = 'UTC'",
            f"SET GLOBAL allowed_directories = [{folders}]",
            "SET GLOBAL enable_external_access = false",
            "SET GLOBAL lock_configuration = true",
            f"CREATE TABLE {quoted_name('rows')} ({table_columns_sql(job.view)})",
        ):
            connection.execute(statement)
        for piece in _pieces(job.view):
            connection.execute(f"INSERT INTO {quoted_name('rows')} {rows_sql(piece)}")
        connection.execute("CHECKPOINT")


def _pieces(view: View) -> Iterator[View]:
    """The view a few files at a time, oldest first, so that memory does not grow with the days."""
    for group in view.groups:
        # The paths name dataset and day: their order is the days'.
        files = sorted(group.files)
        for start in range(0, len(files), _FILES_AT_ONCE):
            chunk = tuple(files[start : start + _FILES_AT_ONCE])
            some = msgspec.structs.replace(group, files=chunk)
            yield msgspec.structs.replace(view, groups=(some,))


if __name__ == "__main__":
    sys.exit(main())

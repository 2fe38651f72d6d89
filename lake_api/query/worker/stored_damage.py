"""Stored objects that can't be decoded: which dataset and which day.

Belongs here: finding the day after reading has failed, and saying so.
Does not belong here: damaged copies on this machine (`lake_api.query.object_cache`), values that
don't convert (`stored_types`).

The engine names the file of some failures only. For the others the files are read one after the
other, for a fraction of a second.
"""

import re
import threading
from collections.abc import Iterator, Sequence

import duckdb

from lake_api.query.messages import FileFacts, View
from lake_api.query.worker.failures import Explained, stored_data_unreadable
from lake_api.query.worker.views import quoted_text, with_facts

_BUDGET_S = 0.5
_FILE = re.compile(r"/([a-z0-9_]+)/date=(\d{4}-\d{2}-\d{2})/[^/]*\.parquet")


def unreadable_day(
    cursor: duckdb.DuckDBPyConnection, views: Sequence[View], facts: Sequence[FileFacts]
) -> Explained | None:
    """What the caller is told of the first day that can't be decoded; None when all can.

    Args:
        cursor: A connection with nothing running on it.
        views: What the failed query read.
        facts: What it learned of files on the way.
    """
    # Interrupts a statement that runs; between two it is forgotten.
    timer = threading.Timer(_BUDGET_S, cursor.interrupt)
    timer.start()
    try:
        for file in _files(views, facts):
            if (found := _FILE.search(file)) and not _is_readable(cursor, file):
                return stored_data_unreadable(dataset=found[1], day=found[2])
    except (duckdb.InterruptException, duckdb.OutOfMemoryException, MemoryError):
        return None  # too much to look at
    finally:
        timer.cancel()
    return None


def _files(views: Sequence[View], facts: Sequence[FileFacts]) -> Iterator[str]:
    for view in views:
        read = with_facts(view, [fact for fact in facts if fact.file in view.new_files])
        for group in read.groups:
            yield from group.files


def _is_readable(cursor: duckdb.DuckDBPyConnection, file: str) -> bool:
    source = f"read_parquet({quoted_text(file)}, hive_partitioning = false)"
    try:
        cursor.execute(f"SELECT max(hash(COLUMNS(*))) FROM {source}").fetchall()  # noqa: S608
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error:
        return False
    return True

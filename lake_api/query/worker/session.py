"""One query inside the worker: vote, views, run, encode; then everything of it is gone.

Belongs here: what happens between a `Job` and its `Answer` or `Failure`.
Does not belong here: the pipe and the process (`worker`), opening the engine (`locked_engine`).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb

from lake_api.query.agreement import disagreement
from lake_api.query.functions import ALLOWED_FUNCTIONS
from lake_api.query.messages import Answer, Failure, FileFacts, Job
from lake_api.query.worker.encode import RowTooLarge, encode_rows
from lake_api.query.worker.failures import (
    Explained,
    engine_failed,
    explain,
    out_of_memory,
    row_too_large,
    timed_out,
)
from lake_api.query.worker.views import inspect_files, view_sql, with_facts

_FETCH_ROWS = 64
_INTERRUPT_EVERY_S = 0.02

_REFUSALS = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)
"""What binding a relation raises about a text, in words without a position."""

_BAD_VALUES = (duckdb.InvalidInputException, duckdb.DataError)
"""What running it raises about a value, with the position in the text that ran."""

Disagreement = Callable[..., str | None]


class _Cancelled(Exception):
    """The job was cancelled between two statements."""


class _FailedCapped(Exception):
    """The capped form of the text failed: positions are not those of the caller's text."""


class _Rejected(Exception):
    """The job can't run, for a reason that is already in the caller's terms."""

    def __init__(self, explained: Explained) -> None:
        super().__init__(explained.code)
        self.explained = explained


class Session:
    """Runs jobs one after the other on one locked connection.

    `vote` is the second parser's opinion; tests of the engine's own lock put in one that agrees
    with everything.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, vote: Disagreement = disagreement
    ) -> None:
        self._connection = connection
        self._vote = vote
        self._current: tuple[int, duckdb.DuckDBPyConnection] | None = None
        self._cancelled: int | None = None

    def run(self, job: Job) -> Answer | Failure:
        """The answer to a job; every failure is one of `Failure`'s codes."""
        facts: list[FileFacts] = []
        cursor = self._connection.cursor()
        self._current = (job.id, cursor)
        columns = tuple(dict.fromkeys(name for view in job.views for name, _ in view.columns))
        try:
            return self._run(job, cursor, facts)
        except _Rejected as rejected:
            explained = rejected.explained
        except (_Cancelled, duckdb.InterruptException):
            explained = timed_out()
        except RowTooLarge:
            explained = row_too_large()
        except (MemoryError, duckdb.OutOfMemoryException):
            explained = out_of_memory()
        except _FailedCapped as failed:
            explained = explain(str(failed), sql=None, columns=(*columns, "date"))
        except duckdb.Error as error:
            explained = explain(str(error), sql=job.sql, columns=(*columns, "date"))
        except (RecursionError, ValueError, OverflowError):
            # Values that Python can't hold, such as a nesting deeper than its stack.
            explained = engine_failed(recycle=False)
        finally:
            self._current = None
            cursor.close()
        return _failure(job.id, explained, facts)

    def cancel(self, job_id: int) -> None:
        """Interrupt the job until it ends; called from the thread that reads the pipe."""
        self._cancelled = job_id
        threading.Thread(target=self._interrupt, args=(job_id,), daemon=True).start()

    def _interrupt(self, job_id: int) -> None:
        # An interrupt that falls between two statements is forgotten by the engine: repeat it.
        while (current := self._current) is not None and current[0] == job_id:
            with contextlib.suppress(duckdb.Error):
                current[1].interrupt()
            time.sleep(_INTERRUPT_EVERY_S)

    def _check_cancelled(self, job: Job) -> None:
        if self._cancelled == job.id:
            raise _Cancelled

    def _run(self, job: Job, cursor: duckdb.DuckDBPyConnection, facts: list[FileFacts]) -> Answer:
        clock = _Clock()
        self._check_vote(job, cursor)
        clock.stage("vote")
        for view in job.views:
            self._check_cancelled(job)
            found = inspect_files(cursor, view)
            facts.extend(found)
            cursor.execute(view_sql(with_facts(view, found)))
        self._check_cancelled(job)
        if job.bind_only:
            return _bound(job, cursor, clock)
        clock.stage("bind")
        names, types, rows = _execute(cursor, job)
        clock.stage("run")
        encoded = encode_rows(
            _bounded(rows, job.row_cap), columns=names, types=types, byte_cap=job.byte_cap
        )
        # One more row than the cap proves that the answer is truncated.
        has_more = not encoded.is_cut and next(rows, None) is not None
        cursor.close()
        clock.stage("encode")
        warnings = list(encoded.warnings)
        if encoded.is_cut:
            warnings.append(
                f"the answer was cut after {encoded.count} rows: more would exceed "
                f"{job.byte_cap} bytes of JSON"
            )
        return Answer(
            id=job.id,
            columns=tuple(names),
            column_types=tuple(types),
            rows_json=encoded.json,
            row_count=encoded.count,
            truncated=encoded.is_cut or has_more,
            warnings=tuple(warnings),
            stages_ms=clock.stages_ms,
            facts=tuple(facts),
        )

    def _check_vote(self, job: Job, cursor: duckdb.DuckDBPyConnection) -> None:
        row = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [job.sql]).fetchone()
        problem = self._vote(
            str(row[0]) if row else "",
            tables=frozenset(view.name.lower() for view in job.views),
            allowed_functions=ALLOWED_FUNCTIONS,
        )
        if problem is not None:
            raise _Rejected(
                Explained(
                    rejected=True,
                    code="parsers_disagree",
                    detail=f"The engine reads this query in another way: {problem}.",
                    hint="Write it more plainly; put unusual characters inside string literals.",
                )
            )


def _bound(job: Job, cursor: duckdb.DuckDBPyConnection, clock: "_Clock") -> Answer:
    """The answer without rows: a relation is bound when it is made, and runs when it is read."""
    try:
        relation = cursor.sql(job.sql)
    except _REFUSALS:
        # Refuses it once more, in words that have a position.
        cursor.execute(job.sql)
        raise
    clock.stage("bind")
    return Answer(
        id=job.id,
        columns=tuple(relation.columns),
        column_types=tuple(str(kind) for kind in relation.types),
        rows_json=b"[]",
        row_count=0,
        truncated=False,
        warnings=(),
        stages_ms=clock.stages_ms,
        facts=(),
    )


def _execute(
    cursor: duckdb.DuckDBPyConnection, job: Job
) -> tuple[list[str], list[str], Iterator[Sequence[Any]]]:
    """Run the caller's text unchanged; names, types, and rows as they are asked for."""
    if job.top_n:
        # What does not bind here is refused below, in words that have a position. What does not
        # parse is only the capped form of the text, when a comment follows its semicolon.
        with contextlib.suppress(*_REFUSALS):
            return _execute_capped(cursor, job)
    cursor.execute(job.sql)
    described: Sequence[Sequence[Any]] = cursor.description or ()
    names = [str(column[0]) for column in described]
    return names, [str(column[1]) for column in described], _chunked(cursor.fetchmany)


def _execute_capped(
    cursor: duckdb.DuckDBPyConnection, job: Job
) -> tuple[list[str], list[str], Iterator[Sequence[Any]]]:
    """The same, telling the engine the cap: it need not sort rows that nobody will see.

    The capped relation renames columns that share a name, so the names are the text's own.
    """
    relation = cursor.sql(job.sql)
    names = list(relation.columns)
    capped = relation.limit(job.row_cap + 1)
    try:
        rows = capped.fetchall()
    except _BAD_VALUES as error:
        raise _FailedCapped(str(error)) from error
    return names, [str(kind) for kind in capped.types], iter(rows)


def _chunked(fetch: Callable[[int], Sequence[Sequence[Any]]]) -> Iterator[Sequence[Any]]:
    while chunk := fetch(_FETCH_ROWS):
        yield from chunk


def _bounded(rows: Iterator[Sequence[Any]], cap: int) -> Iterator[Sequence[Any]]:
    # islice would also do, but would hide that the iterator is used again after it.
    for _ in range(cap):
        row = next(rows, None)
        if row is None:
            return
        yield row


def _failure(job_id: int, explained: Explained, facts: Sequence[FileFacts]) -> Failure:
    return Failure(
        id=job_id,
        rejected=explained.rejected,
        code=explained.code,
        detail=explained.detail,
        hint=explained.hint,
        fragment=explained.fragment,
        offset=explained.offset,
        retry=explained.retry,
        recycle=explained.recycle,
        facts=tuple(facts),
    )


class _Clock:
    """Milliseconds between stages."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}
        self._since = time.perf_counter()

    def stage(self, name: str) -> None:
        now = time.perf_counter()
        self.stages_ms[name] = (now - self._since) * 1_000
        self._since = now

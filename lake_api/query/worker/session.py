"""One query inside the worker: vote, views, run, encode; then everything of it is gone.

Belongs here: what happens between a `Job` and its `Answer` or `Failure`.
Does not belong here: the pipe and the process (`worker`), opening the engine (`locked_engine`).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from lake_api.query.agreement import disagreement
from lake_api.query.functions import ALLOWED_FUNCTIONS
from lake_api.query.messages import (
    Answer,
    Chunk,
    Extracted,
    Extraction,
    Failure,
    FileFacts,
    Form,
    Job,
    PageRead,
    View,
    Work,
)
from lake_api.query.worker.arrow_rows import encode_arrow, first_row
from lake_api.query.worker.bounded_functions import bound_functions
from lake_api.query.worker.csv_rows import encode_csv
from lake_api.query.worker.encode import (
    Ambiguous,
    EncodedRows,
    RowTooLarge,
    Unencodable,
    encode_rows,
)
from lake_api.query.worker.execute import (
    BoundedRows,
    FailedCapped,
    Shape,
    bind,
    execute_rows,
    execute_table,
)
from lake_api.query.worker.extract import (
    ChunkPipe,
    Source,
    Written,
    of_query,
    of_stored,
    page_of,
    write_file,
)
from lake_api.query.worker.failures import (
    Explained,
    beyond_type,
    explain,
    explain_unparsed,
    out_of_memory,
    row_too_large,
    timed_out,
    unencodable,
    unsupported_type,
)
from lake_api.query.worker.lowering import Unsupported, beyond, text_warnings
from lake_api.query.worker.stored_damage import unreadable_day
from lake_api.query.worker.stored_types import stored_mismatch
from lake_api.query.worker.value_hints import found_nothing, value_hints
from lake_api.query.worker.views import (
    inspect_files,
    quoted_name,
    quoted_text,
    segment_alias,
    view_sql,
    with_facts,
)

_INTERRUPT_EVERY_S = 0.02

_BEYOND_TYPES = "that are infinite, at 24:00, or of too many digits"

_Ran = tuple[Sequence[str], Sequence[str], EncodedRows, bool]
"""Names and types of the columns, the rows, and whether there were more."""

Disagreement = Callable[..., str | None]
_Reply = TypeVar("_Reply", Answer, Extracted)


class _Cancelled(Exception):
    """The job was cancelled between two statements."""


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
        self._attached: dict[str, str] = {}

    def run(self, job: Job) -> Answer | Failure:
        """The answer to a job; every failure is one of `Failure`'s codes."""
        return self._guarded(job, lambda cursor, facts: self._run(job, cursor, facts))

    def work(self, work: Work, *, send: Callable[[Chunk], None]) -> Answer | Extracted | Failure:
        """What comes of any work; an extraction sends the bytes of its file on the way."""
        match work:
            case Job():
                return self.run(work)
            case Extraction():
                return self._guarded(
                    work, lambda cursor, facts: self._extract(work, cursor, facts, send)
                )
            case PageRead():
                return self._guarded(work, lambda cursor, _: _page(work, cursor))

    def _guarded(
        self,
        job: Work,
        run: Callable[[duckdb.DuckDBPyConnection, list[FileFacts]], _Reply],
    ) -> _Reply | Failure:
        facts: list[FileFacts] = []
        cursor = self._connection.cursor()
        self._current = (job.id, cursor)
        try:
            outcome = self._outcome(job, lambda: run(cursor, facts))
            if not isinstance(outcome, Explained):
                return outcome
            if outcome.code == "type_mismatch":
                at = outcome.span
                outcome = stored_mismatch(cursor, job.views, facts, span=at) or outcome
            elif outcome.code == "stored_data_unreadable":
                outcome = unreadable_day(cursor, job.views, facts) or outcome
        finally:
            self._current = None
            cursor.close()
        return _failure(job.id, outcome, facts)

    def _outcome(self, job: Work, run: Callable[[], _Reply]) -> _Reply | Explained:
        columns = tuple(dict.fromkeys(name for view in job.views for name, _ in view.columns))
        try:
            return run()
        except _Rejected as rejected:
            explained = rejected.explained
        except (_Cancelled, duckdb.InterruptException):
            explained = timed_out()
        except RowTooLarge:
            explained = row_too_large()
        except Unsupported as unsupported:
            explained = unsupported_type(unsupported.column, unsupported.kind, unsupported.reason)
        except Unencodable as bad:
            explained = unencodable(bad.column)
        except (MemoryError, duckdb.OutOfMemoryException):
            explained = out_of_memory()
        except FailedCapped as failed:
            explained = explain(str(failed), sql=None, columns=(*columns, "date"))
        except (pa.ArrowException, OSError) as error:
            # What fails while rows are streamed, Arrow passes on as an error of its own.
            explained = self._explain_stream(job, error, columns=(*columns, "date"))
        except duckdb.Error as error:
            explained = explain(str(error), sql=job.sql, columns=(*columns, "date"))
        except Exception:  # noqa: BLE001 - a worker must not end because of a value
            # Values that Python can't hold, such as a nesting deeper than its stack.
            explained = unencodable("")
        return explained

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

    def _explain_stream(self, job: Work, error: Exception, *, columns: Sequence[str]) -> Explained:
        if self._cancelled == job.id:
            return timed_out()
        if "Out of Memory" in str(error):
            return out_of_memory()
        return explain(str(error), sql=None, columns=columns)

    def _check_cancelled(self, job: Work) -> None:
        if self._cancelled == job.id:
            raise _Cancelled

    def _run(self, job: Job, cursor: duckdb.DuckDBPyConnection, facts: list[FileFacts]) -> Answer:
        clock = _Clock()
        self._prepare(job, cursor, facts, clock)
        if job.bind_only:
            columns, types = bind(cursor, job.sql)
            clock.stage("bind")
            encoded, truncated = EncodedRows(json=b"[]", count=0, is_cut=False, warnings=()), False
        elif job.form is Form.ARROW:
            columns, types, encoded, truncated = _run_arrow(job, cursor, clock)
        else:
            columns, types, encoded, truncated = _run_rows(job, cursor, clock)
        cursor.close()
        return _answer(
            job,
            encoded,
            columns=columns,
            types=types,
            truncated=truncated,
            clock=clock,
            facts=facts,
        )

    def _prepare(
        self,
        job: Job | Extraction,
        cursor: duckdb.DuckDBPyConnection,
        facts: list[FileFacts],
        clock: "_Clock",
    ) -> None:
        """The second parser's vote, and the views."""
        self._check_vote(job, cursor)
        clock.stage("vote")
        for view in job.views:
            self._check_cancelled(job)
            found = inspect_files(cursor, view)
            facts.extend(found)
            self._attach(view)
            cursor.execute(view_sql(with_facts(view, found)))
        bound_functions(cursor, job.sql)
        self._check_cancelled(job)

    def _extract(
        self,
        work: Extraction,
        cursor: duckdb.DuckDBPyConnection,
        facts: list[FileFacts],
        send: Callable[[Chunk], None],
    ) -> Extracted:
        clock = _Clock()
        if work.stored is None:
            self._prepare(work, cursor, facts, clock)

        def open_source(text_columns: Collection[int]) -> Source:
            if work.stored is not None:
                return of_stored(cursor, work.stored, work.form, text_columns=text_columns)
            return of_query(cursor, work.sql, work.form, text_columns=text_columns)

        source, written, text_columns = self._written(work, open_source, send)
        clock.stage("run")
        warnings = text_warnings(source.columns, text_columns, work.form.value)
        return Extracted(
            id=work.id,
            columns=source.columns,
            column_types=source.column_types,
            row_count=written.rows,
            truncated=written.truncated,
            warnings=(*written.warnings, *warnings),
            stages_ms=clock.stages_ms,
            facts=tuple(facts),
            text_columns=written.text_columns,
        )

    def _written(
        self,
        work: Extraction,
        open_source: Callable[[Collection[int]], Source],
        send: Callable[[Chunk], None],
    ) -> tuple[Source, Written, Collection[int]]:
        """Write the file; a column with values beyond its type is text from the first row on."""
        text_columns: set[int] = set()
        while True:
            pipe = ChunkPipe(work.id, send)
            names: tuple[str, ...] = ()
            try:
                source = open_source(text_columns)
                names = source.columns
                written = write_file(source, work, pipe, check=lambda: self._check_cancelled(work))
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                place = beyond(error)
                pipe.drop()
                if place is None or place in text_columns:
                    raise
                if pipe.has_sent:
                    raise _Rejected(beyond_type(names[place], _BEYOND_TYPES)) from error
                text_columns.add(place)
            else:
                return source, written, text_columns

    def _attach(self, view: View) -> None:
        """Attach the view's segment; each dataset has one attached at most."""
        if view.segment is None:
            return
        file, known = view.segment.file, self._attached.get(view.name)
        if known == file:
            return
        if known is not None:
            self._connection.execute(f"DETACH {quoted_name(segment_alias(known))}")
            del self._attached[view.name]
        alias = quoted_name(segment_alias(file))
        self._connection.execute(f"ATTACH {quoted_text(file)} AS {alias} (READ_ONLY)")
        self._attached[view.name] = file

    def _check_vote(self, job: Job | Extraction, cursor: duckdb.DuckDBPyConnection) -> None:
        # All of its one row: an unfinished result would be in the way of what runs next.
        rows = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [job.sql]).fetchall()
        serialized = str(rows[0][0]) if rows else ""
        problem = self._vote(
            serialized,
            tables=frozenset(view.name.lower() for view in job.views),
            allowed_functions=ALLOWED_FUNCTIONS,
        )
        if problem is not None:
            raise _Rejected(
                explain_unparsed(serialized, sql=job.sql)
                or Explained(
                    rejected=True,
                    code="parsers_disagree",
                    detail=f"The engine reads this query in another way: {problem}.",
                    hint="Write it more plainly; put unusual characters inside string literals.",
                )
            )


def _page(work: PageRead, cursor: duckdb.DuckDBPyConnection) -> Answer:
    clock = _Clock()
    stored = work.stored
    rows, carried = page_of(cursor, stored, first_row=work.first_row, rows=work.rows)
    encoded = encode_rows(
        rows,
        columns=stored.columns,
        types=carried,
        byte_cap=work.byte_cap,
        text_columns=work.text_columns,
    )
    clock.stage("encode")
    return _answer(
        work,
        encoded,
        columns=stored.columns,
        types=stored.column_types,
        truncated=encoded.is_cut,
        clock=clock,
        facts=(),
    )


def _run_rows(job: Job, cursor: duckdb.DuckDBPyConnection, clock: "_Clock") -> _Ran:
    clock.stage("bind")
    try:
        shape, encoded, truncated, first = _rows_once(job, cursor, clock, exact=False)
    except Ambiguous:
        # An unfinished result is in the way of what runs next.
        cursor.abort()
        shape, encoded, truncated, first = _rows_once(job, cursor, clock, exact=True)
    if job.filters and found_nothing(first, encoded.count):
        hints = value_hints(cursor, job.filters)
        encoded = replace(encoded, warnings=(*encoded.warnings, *hints))
        clock.stage("hints")
    return shape.columns, shape.types, encoded, truncated


def _rows_once(
    job: Job, cursor: duckdb.DuckDBPyConnection, clock: "_Clock", *, exact: bool
) -> tuple[Shape, EncodedRows, bool, Sequence[Any] | None]:
    # One more row than the cap proves that the answer is truncated.
    shape, rows = execute_rows(
        cursor, job.sql, rows=job.row_cap + 1, is_capped=job.top_n, exact=exact
    )
    clock.stage("run")
    limited = BoundedRows(rows, job.row_cap)
    encode = encode_csv if job.form is Form.CSV else encode_rows
    encoded = encode(limited, columns=shape.columns, types=shape.carried, byte_cap=job.byte_cap)
    truncated = encoded.is_cut or next(rows, None) is not None
    clock.stage("encode")
    return shape, encoded, truncated, limited.first


def _run_arrow(job: Job, cursor: duckdb.DuckDBPyConnection, clock: "_Clock") -> _Ran:
    clock.stage("bind")
    shape, table, text_columns = _table(job, cursor)
    clock.stage("run")
    warnings = text_warnings(shape.columns, text_columns, "arrow")
    if job.filters and table.num_rows <= 1 and found_nothing(first_row(table), table.num_rows):
        warnings += value_hints(cursor, job.filters)
        clock.stage("hints")
    encoded = encode_arrow(
        table,
        columns=shape.columns,
        types=shape.types,
        row_cap=job.row_cap,
        byte_cap=job.byte_cap,
        metadata=job.metadata,
        known_warnings=job.warnings,
        warnings=warnings,
    )
    clock.stage("encode")
    return shape.columns, shape.types, encoded, encoded.count < table.num_rows


def _table(job: Job, cursor: duckdb.DuckDBPyConnection) -> tuple[Shape, pa.Table, Collection[int]]:
    """The rows; a column with values beyond its Arrow type is text."""
    text_columns: set[int] = set()
    while True:
        try:
            rows = job.row_cap + 1
            shape, table = execute_table(cursor, job.sql, rows=rows, text_columns=text_columns)
        except (duckdb.Error, pa.ArrowException, FailedCapped) as error:
            place = beyond(error)
            if place is None or place in text_columns:
                raise
            text_columns.add(place)
        else:
            return shape, table, text_columns


def _answer(
    job: Job | PageRead,
    encoded: EncodedRows,
    *,
    columns: Sequence[str],
    types: Sequence[str],
    truncated: bool,
    clock: "_Clock",
    facts: Sequence[FileFacts],
) -> Answer:
    return Answer(
        id=job.id,
        columns=tuple(columns),
        column_types=tuple(types),
        rows_json=encoded.json,
        row_count=encoded.count,
        truncated=truncated,
        warnings=encoded.warnings,
        stages_ms=clock.stages_ms,
        facts=tuple(facts),
        document=encoded.document,
    )


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

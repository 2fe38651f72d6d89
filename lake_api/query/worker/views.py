"""A dataset as one query sees it: declared columns, in declared order, over the planned files.

Belongs here: reading footers, grouping files by schema, the view's SQL.
Does not belong here: which files are planned.

Files whose schemas differ are read in groups, each cast to the declared types: a column that a
file lacks is NULL, one that is not declared is ignored. (One scan over all of them would take the
first file's types for every file, and round what does not fit.)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lake_api.query.messages import FileFacts, FileGroup, SegmentScan, View

DATE_COLUMN = "date"
_TOP_LEVEL = """
    SELECT file_name, name, num_children, duckdb_type, column_id
    FROM parquet_schema(?) ORDER BY file_name, column_id
"""
_WRITTEN_FOR = """
    SELECT file_name, value FROM parquet_kv_metadata(?) WHERE key = 'lake.dataset'::BLOB
"""
_FLOATS = frozenset({"FLOAT", "DOUBLE"})


def inspect_files(cursor: duckdb.DuckDBPyConnection, view: View) -> tuple[FileFacts, ...]:
    """The schema of each new file of the view; one that can't be read as the view has none."""
    kinds = {name.lower(): kind for name, kind in view.columns}
    facts = [
        fact if _fits(fact, kinds) else FileFacts(file=fact.file, columns=None)
        for fact in _inspect(cursor, view.new_files)
    ]
    lacks = {fact.file: _lacks(fact, view) for fact in facts}
    written_for = _written_for(cursor, [file for file, names in lacks.items() if names])
    return tuple(
        msgspec.structs.replace(
            fact,
            lacks=lacks[fact.file],
            # Columns are never taken away: one that is not declared was not written by the lake.
            written_for="" if _has_others(fact, kinds) else written_for.get(fact.file, ""),
        )
        for fact in facts
    )


def _lacks(fact: FileFacts, view: View) -> tuple[str, ...]:
    """The declared columns that a file which can be read does not have."""
    if fact.columns is None:
        return ()
    there = {name.lower() for name, _ in fact.columns}
    return tuple(name for name, _ in view.columns if name.lower() not in there)


def _has_others(fact: FileFacts, kinds: Mapping[str, str]) -> bool:
    return any(name.lower() not in kinds for name, _ in fact.columns or ())


def _written_for(cursor: duckdb.DuckDBPyConnection, files: Sequence[str]) -> Mapping[str, str]:
    """The dataset that each of the files says it was written for, where it does."""
    if not files:
        return {}
    found = cursor.execute(_WRITTEN_FOR, [list(files)]).fetchall()
    return {file: bytes(name).decode(errors="replace") for file, name in found}


def _fits(fact: FileFacts, kinds: Mapping[str, str]) -> bool:
    """Whether no column is nested where the view's is not; such a cast fails with every row."""
    return not any(
        kind.endswith(("]", ")"))
        and not kind.startswith("DECIMAL")
        and kinds.get(name.lower(), "VARCHAR") != "VARCHAR"
        for name, kind in fact.columns or ()
    )


def _inspect(cursor: duckdb.DuckDBPyConnection, files: Sequence[str]) -> tuple[FileFacts, ...]:
    if not files:
        return ()
    try:
        return _read_footers(cursor, files)
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        raise  # says nothing about the files
    except duckdb.Error:
        if len(files) == 1:
            return (FileFacts(file=files[0], columns=None),)
    # One bad file fails the whole call: halve until it is alone.
    middle = len(files) // 2
    return (*_inspect(cursor, files[:middle]), *_inspect(cursor, files[middle:]))


def _read_footers(cursor: duckdb.DuckDBPyConnection, files: Sequence[str]) -> tuple[FileFacts, ...]:
    columns: dict[str, list[tuple[str, str]]] = {file: [] for file in files}
    floats: dict[str, dict[int, str]] = {file: {} for file in files}
    leaves = dict.fromkeys(files, 0)
    open_children: dict[str, int] = {}
    for file, name, children, kind, _ in cursor.execute(_TOP_LEVEL, [list(files)]).fetchall():
        # The schema is a tree in pre-order; its root comes first and is no column.
        if file not in open_children:
            open_children[file] = 0
            continue
        if open_children[file]:
            open_children[file] += (children or 0) - 1
        else:
            open_children[file] = children or 0
            columns[file].append((name, str(kind)))
        if not children:
            if kind in _FLOATS:
                floats[file][leaves[file]] = columns[file][-1][0]
            leaves[file] += 1
    return tuple(
        FileFacts(file=file, columns=tuple(found), misread=_misread(file, floats[file]))
        for file, found in columns.items()
    )


def _misread(file: str, floats: Mapping[int, str]) -> tuple[str, ...]:
    """Columns of floats that have statistics; `floats` names the column of each such leaf.

    The engine's own `parquet_metadata` writes the statistics of all columns as text, which takes
    three times as long.
    """
    if not floats:
        return ()
    try:
        with pa.OSFile(file) as source:
            found = pq.read_metadata(source)
        groups = [found.row_group(place) for place in range(found.num_row_groups)]
        leaves = [
            leaf for leaf in floats if any(_has_statistics(group.column(leaf)) for group in groups)
        ]
    except (pa.ArrowException, OSError, IndexError):
        # Statistics that can't be shown are not to be used either.
        leaves = list(floats)
    return tuple(sorted({floats[leaf] for leaf in leaves}))


def _has_statistics(chunk: Any) -> bool:
    # Of floats of two bytes the library leaves out what some writers wrote, the engine may not.
    return chunk.is_stats_set or chunk.physical_type not in _FLOATS


def with_facts(view: View, facts: Iterable[FileFacts]) -> View:
    """The view with its new files in the groups that they belong to, bad ones left out."""
    groups = {group.columns: list(group.files) for group in view.groups}
    misread = {group.columns: set(group.misread) for group in view.groups}
    for fact in facts:
        if fact.columns is not None:
            groups.setdefault(fact.columns, []).append(fact.file)
            misread.setdefault(fact.columns, set()).update(fact.misread)
    return msgspec.structs.replace(
        view,
        groups=tuple(
            FileGroup(
                columns=columns,
                files=tuple(sorted(files)),
                misread=tuple(sorted(misread[columns])),
            )
            for columns, files in groups.items()
            if files
        ),
        new_files=(),
    )


def view_sql(view: View) -> str:
    """The statement that makes the view, whose segment is attached under its alias."""
    segment = segment_alias(view.segment.file) if view.segment else None
    return f"CREATE TEMP VIEW {quoted_name(view.name)} AS {rows_sql(view, segment=segment)}"


def segment_alias(file: str) -> str:
    """The name that a segment's file is attached under."""
    return Path(file).stem


def rows_sql(view: View, *, segment: str | None = None) -> str:
    """The SELECT of the view's rows, in declared columns, `date` last."""
    selects = [_select(view, group) for group in view.groups]
    if view.segment is not None and segment is not None:
        selects.insert(0, _select_segment(view, view.segment, segment))
    return "\nUNION ALL\n".join(selects) or _select_nothing(view)


def table_columns_sql(view: View) -> str:
    """The columns of a table that holds the view's rows."""
    columns = (*view.columns, (DATE_COLUMN, "DATE"))
    return ", ".join(f"{quoted_name(name)} {kind}" for name, kind in columns)


def _select_segment(view: View, scan: SegmentScan, alias: str) -> str:
    names = ", ".join(quoted_name(name) for name, _ in (*view.columns, (DATE_COLUMN, "DATE")))
    statement = f"SELECT {names} FROM {quoted_name(alias)}.main.rows"  # noqa: S608 - quoted
    within = " OR ".join(
        f"{quoted_name(DATE_COLUMN)} BETWEEN DATE '{first}' AND DATE '{last}'"
        for first, last in scan.ranges
    )
    return f"{statement} WHERE {within}" if within else statement


def _select(view: View, group: FileGroup) -> str:
    present = {name.lower(): (name, kind) for name, kind in group.columns}
    columns = [_column(name, kind, present.get(name.lower()), group) for name, kind in view.columns]
    columns.append(quoted_name(DATE_COLUMN))
    files = ", ".join(quoted_text(file) for file in group.files)
    source = (
        f"read_parquet([{files}], hive_partitioning = true, hive_types = {{'{DATE_COLUMN}': DATE}})"
    )
    return f"SELECT {', '.join(columns)} FROM {source}"  # noqa: S608 - names and texts are quoted


def _column(name: str, kind: str, stored: tuple[str, str] | None, group: FileGroup) -> str:
    if stored is None:
        return f"CAST(NULL AS {kind}) AS {quoted_name(name)}"
    if stored[1] == kind:
        return f"{stored_sql(stored[0], group)} AS {quoted_name(name)}"
    return f"{cast_sql(stored[0], kind, group)} AS {quoted_name(name)}"


def stored_sql(stored: str, group: FileGroup) -> str:
    """A stored column, behind what keeps the engine from using statistics that leave NaN out.

    Through TRY it does not see a column's range: no filter is taken for always true or never true,
    no row group is skipped, no value taken for a constant. It costs a fifth of a scan's time.
    """
    return f"TRY({quoted_name(stored)})" if stored in group.misread else quoted_name(stored)


def cast_sql(stored: str, kind: str, group: FileGroup) -> str:
    """What converts a stored column to the declared type."""
    return f"CAST({stored_sql(stored, group)} AS {kind})"


def _select_nothing(view: View) -> str:
    columns = [f"CAST(NULL AS {kind}) AS {quoted_name(name)}" for name, kind in view.columns]
    columns.append(f"CAST(NULL AS DATE) AS {quoted_name(DATE_COLUMN)}")
    return f"SELECT {', '.join(columns)} WHERE false"


def quoted_name(text: str) -> str:
    """A name as an identifier."""
    return '"' + text.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"

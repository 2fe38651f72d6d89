"""DuckDB's errors in the caller's terms.

Belongs here: which stable code, detail and hint an engine error becomes, and what is left out.
Does not belong here: raising or sending them.

DuckDB is set to give its errors as JSON. Only messages about the caller's own text pass; none may
name a path, a file or a table that is not in the query.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from lake_api.nearest import did_you_mean
from lake_api.query.functions import MAX_DISTANCE_CHARS
from lake_api.query.worker.bounded_functions import TOO_LONG

_PIECE = re.compile(r"""["']?[^\s"',]+["']?""")
_FILE_ENDINGS = (".parquet", ".duckdb")
_TYPE_CHARS = 100
_FUNCTION_KINDS = ("Function", "Macro")
_OTHER_KINDS = ("Type", "Collation")

_MISSING_COLUMN = re.compile(
    r"""does not have a column named "(.+?)"|Column "(.+?)" (?:in EXCLUDE|does not exist)"""
)
_MISSING_TABLE = re.compile(r'Referenced table "(.+?)" not found!(?:\s*Candidate tables: (.+))?')
_QUOTED_TEXT = re.compile(rf"""['"](\w+ {TOO_LONG} \d+ characters)['"]""")
_QUOTED = re.compile(r'"([^"]+)"')
_UNDECODABLE = re.compile(
    r"Failed to read file|Parquet file is likely corrupted|TProtocolException|TTransportException"
    r"|Malformed Parquet|No magic bytes|Out of buffer|don't know what type|IO Error: Could not read"
)
"""What the engine says of files whose content makes no sense."""
_QUOTATION = re.compile(r"""(['"]).*\1""", re.DOTALL)
"""From the first quote to the last one: values may have quotes in them."""

_MESSAGE_CHARS = 1_200
_TAIL_CHARS = 200
_UP_TO_BREAK = re.compile(r"""[^\s"',]*""")

_NEAR = re.compile(r'syntax error at or near "(\w+)"')
_KEYWORD_COLUMNS = frozenset(
    {
        "analyze", "array", "asc", "both", "case", "cast", "check", "collate", "column",
        "constraint", "default", "desc", "do", "end", "foreign", "group", "initially", "lateral",
        "leading", "limit", "offset", "only", "order", "placing", "primary", "references",
        "symmetric", "table", "to", "trailing", "unique", "variadic", "window",
    }
)  # fmt: skip
"""Reserved words that people name columns by."""

_KNOWN_MESSAGES = (
    (
        "Max expression depth",
        "query_too_deep",
        "Name the inner parts in a WITH clause, or use IN (…) instead of a chain of operators.",
    ),
    (
        "No function matches",
        "type_mismatch",
        "Cast the arguments to the types that the function takes.",
    ),
    (
        "must appear in the GROUP BY",
        "not_grouped",
        "Add the column to GROUP BY, or use GROUP BY ALL.",
    ),
    (
        "Division by zero",
        "invalid_input",
        "nullif(b, 0) as the divisor gives NULL in place of this error.",
    ),
    (
        "More than one row returned by a subquery",
        "invalid_input",
        "Aggregate in the subquery, add LIMIT 1 to it, or write IN (SELECT …) or a join.",
    ),
    (
        "Map keys must be unique",
        "invalid_input",
        "Two keys of a map are equal, or are different values whose text, which is what keys are "
        "in this form, is equal. map_entries(…) has them as a list of keys and values.",
    ),
    (
        "Ambiguous reference",
        "ambiguous_column",
        "Write the table's name or alias before the column.",
    ),
)
"""Parts of messages that have a code and a hint of their own."""

_HARMED = frozenset({"INTERNAL", "FATAL"})
_CODES: Mapping[str, str] = {
    "Parser": "syntax_error",
    "Syntax": "syntax_error",
    "Binder": "invalid_query",
    "Catalog": "invalid_query",
    "Conversion": "type_mismatch",
    "Mismatch Type": "type_mismatch",
    "Invalid type": "type_mismatch",
    "Out of Range": "out_of_range",
    "Invalid Input": "invalid_input",
    "Parameter Not Resolved": "parameters_not_allowed",
    "Parameter Not Allowed": "parameters_not_allowed",
    "Invalid Configuration": "not_allowed",
    "Permission": "not_allowed",
    "Not implemented": "not_supported",
    "Expression": "invalid_query",
    "Sequence": "not_allowed",
    "Dependency": "not_allowed",
}
"""Exception types that are the caller's to mend. All others are the engine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An engine error for the caller; `recycle` when the engine itself may be harmed.

    `span` is for the worker itself: first byte and length of what failed, in the statement that it
    stands in. That is the caller's text or a view's.
    """

    rejected: bool
    code: str
    detail: str
    hint: str | None = None
    fragment: str | None = None
    offset: int | None = None
    retry: bool = False
    recycle: bool = False
    span: tuple[int, int] | None = None


class _Raw(msgspec.Struct):
    """What DuckDB puts into its error text with `errors_as_json`."""

    exception_type: str
    exception_message: str
    name: str = ""
    type: str = ""
    position: str = ""
    error_subtype: str = ""
    location: str = ""


def timed_out() -> Explained:
    """The answer for a query that was stopped at its deadline."""
    return Explained(
        rejected=False,
        code="query_timeout",
        detail="The query did not finish in time and was stopped.",
        hint="Narrow the days with a filter on `date`, or aggregate before joining.",
    )


def out_of_memory() -> Explained:
    """The answer for a query that needed more memory than a query may use."""
    return Explained(
        rejected=False,
        code="out_of_memory",
        detail="The query needs more memory than a query may use.",
        hint="Narrow the days with a filter on `date`, select fewer columns, or aggregate first.",
        # The address space that it took is not all given back: the next query would get too little.
        recycle=True,
    )


def row_too_large() -> Explained:
    """The answer when one row is larger than a whole answer may be."""
    return Explained(
        rejected=False,
        code="result_too_large",
        detail="The first row alone is larger than an answer may be.",
        hint="Select fewer or shorter columns, for example with left(column, 1000).",
    )


def engine_failed(*, recycle: bool = True, may_pass: bool = False) -> Explained:
    """The answer for a fault of the engine, which tells the caller nothing of its insides.

    `may_pass` says that it came of something outside of the query.
    """
    again = (
        "Try again; if it fails again, write the query in another way."
        if may_pass
        else "The same query fails again: write it in another way, or in smaller steps."
    )
    return Explained(
        rejected=False,
        code="engine_error",
        detail="The query engine failed on this query.",
        hint=again,
        retry=may_pass,
        recycle=recycle,
    )


def stored_data_unreadable(*, dataset: str = "", day: str = "") -> Explained:
    """The answer when stored data can't be decoded: whose it is, and never the caller's fault."""
    what = f"The stored data of `{dataset}` for {day}" if dataset else "Stored data that is read"
    leave_out = f"WHERE date <> DATE '{day}'" if day else "with a filter on `date`"
    return Explained(
        rejected=False,
        code="stored_data_unreadable",
        detail=f"{what} can't be decoded.",
        hint=f"Nothing is wrong with the query. Leave the day out: {leave_out}. Whoever writes the "
        "dataset must write the day again.",
    )


def unsupported_type(column: str, kind: str, reason: str) -> Explained:
    """The answer for a column whose type has no form that could be answered."""
    return Explained(
        rejected=True,
        code="type_not_supported",
        detail=f"The column `{column}` {reason}.",
        hint=f"Select parts of it, or CAST it to VARCHAR. Its type is {_shortened(kind)}.",
        fragment=column,
    )


def unencodable(column: str) -> Explained:
    """The answer for a value that can't be written in the form that was asked for."""
    what = f"A value of the column `{column}`" if column else "A value"
    return Explained(
        rejected=True,
        code="value_not_representable",
        detail=f"{what} is nested too deeply, or otherwise can't be written in this form.",
        hint="Select parts of it, or CAST it to VARCHAR.",
        fragment=column or None,
    )


def beyond_type(column: str, values: str) -> Explained:
    """The answer when rows of a file were sent before a value that the type can't hold."""
    return Explained(
        rejected=True,
        code="value_not_representable",
        detail=f"The column `{column}` has values {values}, which this form has no type for.",
        hint="CAST the column to VARCHAR, or filter such values out.",
        fragment=column,
    )


def _shortened(kind: str) -> str:
    return kind if len(kind) <= _TYPE_CHARS else f"{kind[:_TYPE_CHARS]}…"


def explain(text: str, *, sql: str | None, columns: Sequence[str]) -> Explained:
    """What the caller is told about an engine error.

    Args:
        text: The exception's text.
        sql: The caller's text, for positions; None when they are not of it.
        columns: The columns of the datasets in the query, for hints.
    """
    start = text.find("{")
    try:
        raw = msgspec.json.decode(text[start:] if start >= 0 else "", type=_Raw)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return engine_failed()
    message = _shortened_message(raw.exception_message)
    raw = msgspec.structs.replace(raw, exception_message=message)
    # A value that does not convert is quoted, and says what its writer likes.
    if _UNDECODABLE.search(_QUOTATION.sub("", message)):
        return stored_data_unreadable()
    if raw.exception_type not in _CODES:
        return engine_failed(
            recycle=raw.exception_type in _HARMED,
            # An engine that is harmed already refuses whatever comes next; files come and go.
            may_pass=raw.exception_type in {"FATAL", "IO"},
        )
    return _rejected(raw, sql=sql, columns=columns)


class _Unparsed(msgspec.Struct):
    """What `json_serialize_sql` gives for a text that it can't read."""

    error: bool
    error_type: str
    error_message: str
    position: str = ""


def explain_unparsed(serialized: str, *, sql: str) -> Explained | None:
    """What the caller is told when the engine's parser can't read the text; None when it can."""
    try:
        fault = msgspec.json.decode(serialized, type=_Unparsed)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    if not fault.error or fault.error_type != "parser":
        return None
    raw = _Raw("Parser", _shortened_message(fault.error_message), position=fault.position)
    explained = _rejected(raw, sql=sql, columns=())
    hint = explained.hint or "Check the text there; the dialect is DuckDB's."
    near = _NEAR.search(raw.exception_message)
    if near and near[1].lower() in _KEYWORD_COLUMNS:
        hint += f' A column of this name is written in double quotes: "{near[1]}".'
    return replace(explained, hint=hint)


def _rejected(raw: _Raw, *, sql: str | None, columns: Sequence[str]) -> Explained:
    code, hint, name = _CODES[raw.exception_type], None, raw.name
    message = raw.exception_message
    detail = _scrubbed(message)
    if TOO_LONG in message:
        return _too_long(message)
    missing = _MISSING_COLUMN.search(message)
    if missing or (raw.error_subtype == "COLUMN_NOT_FOUND" and raw.name):
        name = (missing[1] or missing[2]) if missing else raw.name
        code = "unknown_column"
        detail = f"There is no column `{name}` here."
        known = f"The columns are {', '.join(columns)}."
        hint = did_you_mean(name.rpartition(".")[2], columns, otherwise=known if columns else "")
    elif raw.error_subtype == "MISSING_ENTRY":
        code, what = _missing_entry(raw.type)
        detail = f"There is no {what} `{raw.name}`."
    elif unknown := _MISSING_TABLE.match(message):
        code, name = "unknown_table", unknown[1]
        detail = f"There is no table `{name}` in this FROM clause."
        called = ", ".join(f"`{one}`" for one in _QUOTED.findall(unknown[2] or ""))
        hint = "A table with an alias is called by its alias only."
        hint += f" Here the tables are called {called}." if called else ""
    else:
        for start, known_code, known_hint in _KNOWN_MESSAGES:
            if start in message:
                code, hint = known_code, known_hint
                break
        if code == "query_too_deep":
            detail = "Expressions are nested too deeply."
    if code == "type_mismatch" and hint is None:
        hint = "Use TRY_CAST to get NULL where a value does not convert."
    return Explained(
        rejected=True,
        code=code,
        detail=detail,
        hint=hint or None,
        fragment=name or None,
        offset=_character_offset(sql, raw.position),
        span=_span(raw.location),
    )


def _too_long(message: str) -> Explained:
    """The bound of `bounded_functions`; the engine's position would be inside of the macro."""
    told = _QUOTED_TEXT.search(message)
    detail = told[1] if told else f"A function {TOO_LONG} {MAX_DISTANCE_CHARS} characters"
    return Explained(
        rejected=True,
        code="argument_too_large",
        detail=f"{detail}.",
        hint=f"Cut one of them: left(x, {MAX_DISTANCE_CHARS}).",
    )


def _span(location: str) -> tuple[int, int] | None:
    try:
        return msgspec.json.decode(location, type=tuple[int, int])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _missing_entry(kind: str) -> tuple[str, str]:
    """The code and the name of what the engine looked for."""
    if kind.endswith(_FUNCTION_KINDS):
        return "unknown_function", "function"
    if kind in _OTHER_KINDS:
        return "invalid_query", kind.lower()
    return "unknown_table", "dataset"


def _shortened_message(message: str) -> str:
    """A message that may quote a value of megabytes, without the middle and paths that it cuts."""
    if len(message) <= _MESSAGE_CHARS:
        return message
    head = message[: _MESSAGE_CHARS - _TAIL_CHARS]
    last = [piece[0] for piece in _PIECE.finditer(head)][-1:]
    if last and "/" in last[0]:
        head = head.removesuffix(last[0])
    tail = _UP_TO_BREAK.sub("", message[-_TAIL_CHARS:], count=1)
    return f"{head} … {tail}"


def _scrubbed(message: str) -> str:
    """The first line of a message without suggestions, files or paths."""
    first = message.strip().splitlines()[0] if message.strip() else "The query is not valid."
    if first.startswith("Division by zero"):
        # What follows is about a setting that no caller can change.
        first = first.partition(". Use TRY")[0] + "."
    return _PIECE.sub(_without_file, first)


def _without_file(found: re.Match[str]) -> str:
    # By hand: one pattern for it takes the cube of the length of a text of slashes.
    piece = found[0]
    name = piece.partition("/")[2]
    return "the stored data" if any(end in name for end in _FILE_ENDINGS) else piece


def _character_offset(sql: str | None, position: str) -> int | None:
    """DuckDB counts bytes of UTF-8; callers count characters."""
    if sql is None or not position.isdigit():
        return None
    return len(sql.encode()[: int(position)].decode(errors="ignore"))

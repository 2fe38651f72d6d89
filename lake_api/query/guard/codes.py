"""What a refusal can be: one stable code each, with the sentence that documents it.

Belongs here: the codes, and how a refusal is built from one.
Does not belong here: deciding.
"""

from enum import Enum

from lake_api.errors import Position, QueryRejected

_FRAGMENT_CHARS = 80


class Code(Enum):
    """The codes of `QueryRejected` that the guard raises; the value is what callers see."""

    EMPTY_QUERY = "empty_query", "There is no statement in the text."
    QUERY_TOO_LONG = "query_too_long", "The text has more characters than a query may have."
    QUERY_TOO_LARGE = "query_too_large", "The query has more parts of one kind than it may have."
    QUERY_TOO_DEEP = "query_too_deep", "Brackets or expressions are nested too deeply."
    INVALID_CHARACTER = (
        "invalid_character",
        "A character stands outside of a string literal where only printable ASCII may stand.",
    )
    UNTERMINATED = "unterminated", "A string, quoted name or comment never ends."
    AMBIGUOUS_TEXT = (
        "ambiguous_text",
        "Two SQL parsers may read this differently; write it in the plain form of the hint.",
    )
    DOLLAR_QUOTE = "dollar_quote", "Dollar-quoted strings are not allowed."
    STRING_PREFIX = "string_prefix", "Strings with a prefix, such as E'…', are not allowed."
    PARAMETER = "parameter", "Parameters can't be bound here."
    SYNTAX_ERROR = "syntax_error", "The text is no SQL that can be read."
    MULTIPLE_STATEMENTS = "multiple_statements", "There is more than one statement."
    NOT_A_SELECT = "not_a_select", "The statement is no SELECT."
    BLOCKED_STATEMENT = (
        "blocked_statement",
        "The statement, or one inside it, would do something else than reading datasets.",
    )
    UNSUPPORTED_SYNTAX = "unsupported_syntax", "The query uses syntax that is not on the list."
    PIVOT_NEEDS_VALUES = "pivot_needs_values", "PIVOT must list its values with IN (…)."
    ARROW_LAMBDA = "arrow_lambda", "Lambdas are written `lambda x: …`, not `x -> …`."
    UNKNOWN_TABLE = "unknown_table", "No dataset that the caller may read has this name."
    QUALIFIED_TABLE = "qualified_table", "A table has a schema or catalog before its name."
    STRING_TABLE = "string_table", "A string stands where a table belongs."
    PATH_TABLE = "path_table", "A path or address stands where a table belongs."
    TABLE_FUNCTION = (
        "table_function",
        "A function stands where a table belongs, and it is not one of the few that may.",
    )
    CTE_NAME = "cte_name", "A CTE has a plain name, and none of the engine's own tables."
    CTE_SHADOWS_DATASET = "cte_shadows_dataset", "A CTE has the name of a dataset."
    DUPLICATE_CTE = "duplicate_cte", "Two CTEs of one WITH have the same name."
    FUNCTION_NOT_ALLOWED = "function_not_allowed", "The function exists and may not be used."
    UNKNOWN_FUNCTION = "unknown_function", "There is no such function."
    QUALIFIED_FUNCTION = "qualified_function", "A function has a schema before its name."
    ARGUMENT_NOT_LITERAL = (
        "argument_not_literal",
        "An argument that decides how much work one call does must be written as a literal.",
    )
    ARGUMENT_TOO_LARGE = "argument_too_large", "A literal argument would make one call too costly."

    def __new__(cls, value: str, sentence: str) -> "Code":  # noqa: D102 - the class says it
        code = object.__new__(cls)
        code._value_ = value
        code.sentence = sentence
        return code

    sentence: str


def refusal(
    code: Code,
    sql: str,
    detail: str,
    *,
    start: int | None = None,
    end: int | None = None,
    hint: str | None = None,
) -> QueryRejected:
    """The refusal of `sql` because of what stands from `start` up to `end`."""
    if start is None:
        return QueryRejected(detail, code=code.value, hint=hint)
    fragment = sql[start : start + 1 if end is None else end]
    if len(fragment) > _FRAGMENT_CHARS:
        fragment = fragment[: _FRAGMENT_CHARS - 1] + "…"
    return QueryRejected(
        detail,
        code=code.value,
        hint=hint,
        fragment=fragment.encode(errors="replace").decode(),
        position=Position.at(sql, start),
    )

"""Which functions a query calls, by the names that the engine knows.

Belongs here: reading the called name off a node, judging it by the reviewed list.
Does not belong here: the list itself (`query.functions`), arguments (`bounds`).
"""

import difflib
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise

from sqlglot import exp

from lake_api.errors import QueryRejected
from lake_api.query.functions import (
    ALLOWED_FUNCTIONS,
    CLOCK_COLUMNS,
    FUNCTIONS,
    REFUSED_COLUMNS,
)
from lake_api.query.guard.codes import Code, refusal
from lake_api.query.guard.nodes import span, written_at
from lake_api.query.guard.other_dialects import IN_DUCKDB, OF_NO_ENGINE
from lake_api.query.guard.text import Token

# Expressions that sqlglot counts among functions, and that call nothing by name.
_NO_CALL = frozenset(
    {"And", "Case", "Cast", "Collate", "Exists", "If", "Or", "Pow", "TryCast", "Xor"}
)
_NODES = """
    Abs Acos Acosh Anonymous AnyValue ApproxDistinct ApproxQuantile ApproxTopK ArgMax ArgMin
    Array ArrayAgg ArrayAppend ArrayConcat ArrayContainedBy ArrayContains ArrayContainsAll
    ArrayDistinct ArrayFilter ArrayIntersect ArrayMax ArrayMin ArrayOverlaps ArrayPosition
    ArrayPrepend ArrayReverse ArraySize ArraySlice ArraySort ArrayToString Ascii Asin Asinh Atan
    Atan2 Atanh Avg BitLength BitwiseAndAgg BitwiseOrAgg BitwiseXorAgg Case Cast CastToStrType
    Cbrt Ceil Chr Coalesce Columns Concat ConcatWs Contains Corr Cos Cosh CosineDistance Cot
    Count CountIf CovarPop CovarSamp CumeDist CurrentDate CurrentTime CurrentTimestamp DateAdd
    DateBin DateDiff DateFromParts DateTrunc Day DayOfMonth DayOfWeek DayOfWeekIso DayOfYear
    Dayname Decode Degrees DenseRank Encode EndsWith EuclideanDistance Exists Exp Explode
    Extract Factorial First FirstValue Flatten Floor Format FromBase64 FromJson GenerateSeries
    Getbit Greatest GroupConcat Grouping GroupingId Hex Hour If IsInf IsNan JSONArray
    JSONExtract JSONExtractScalar JSONKeys JSONObject JSONRemove JSONSet JSONStripNulls JSONType
    JarowinklerSimilarity Kurtosis Lag Last LastDay LastValue Lead Least Left Length Levenshtein
    Ln Localtime Localtimestamp Log LogicalAnd LogicalOr Lower MD5 Map MapFromEntries MapKeys
    Max Median Min Minute Mode Month Monthname NthValue Ntile Nullif Overlay Pad ParseJSON
    PercentRank PercentileCont PercentileDisc Pi Pow Quantile Quarter Radians Rand Rank Reduce
    RegexpExtract RegexpExtractAll RegexpFullMatch RegexpILike RegexpLike RegexpReplace
    RegexpSplit RegrAvgx RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy
    RegrSyy Repeat Replace Reverse Right Round RowNumber SHA SHA2 Second Sign Sin Sinh Skewness
    Split SplitPart Sqrt StartsWith Stddev StddevPop StddevSamp StrPosition StrToTime Struct
    StructExtract Substring Sum Tan Tanh TimeFromParts TimeToStr TimeToUnix TimestampFromParts
    TimestampTrunc ToBase64 ToBinary ToDays ToMap Transform Translate Trim Trunc Try TryCast
    Typeof Unhex Unicode UnixToTime Unnest Upper Uuid Variance VariancePop Week WeekOfYear Year
"""

ALLOWED_CALLS: frozenset[str] = frozenset(_NODES.split()) | _NO_CALL
"""Names of sqlglot's function-like node types that a query may hold."""

# What sqlglot makes without keeping the written name, by node type, as DuckDB calls it.
_UNNAMED: dict[str, str] = {
    "AnyValue": "any_value",
    "ArgMax": "arg_max",
    "ArgMin": "arg_min",
    "Array": "list_value",
    "ArrayContainedBy": "<@",
    "ArrayContainsAll": "@>",
    "ArrayOverlaps": "&&",
    "AtTimeZone": "timezone",
    "CurrentDate": "current_date",
    "CurrentTimestamp": "get_current_timestamp",
    "CurrentTime": "get_current_time",
    "Extract": "date_part",
    "Glob": "~~~",
    "GroupConcat": "string_agg",
    "JSONExtract": "json_extract",
    "JSONExtractScalar": "json_extract_string",
    "JSONObject": "json_object",
    "Localtime": "current_localtime",
    "Localtimestamp": "current_localtimestamp",
    "Map": "map",
    "Max": "max",
    "Min": "min",
    "Overlay": "overlay",
    "PercentileCont": "quantile_cont",
    "PercentileDisc": "quantile_disc",
    "RegexpILike": "regexp_matches",
    "RegexpLike": "regexp_full_match",
    "SimilarTo": "regexp_full_match",
    "StartsWith": "^@",
    "StrPosition": "position",
    "Struct": "struct_pack",
    "Substring": "substring",
    "TableSample": "random",
    "ToMap": "map",
    "Trim": "trim",
    "Unnest": "unnest",
}
_NEAR = 0.7
"""How like a name must be to be offered: a wrong offer costs the caller another call."""
_REAL_SCHEMAS = frozenset({"main", "temp", "system", "memory", "pg_catalog", "information_schema"})


def called_name(node: exp.Expr, sql: str) -> str | None:
    """The name, in lower case, by which a node is a function call; None where it is none."""
    if isinstance(node, exp.Anonymous):
        return _fold(str(node.name))
    if isinstance(node, exp.Func):
        place = written_at(node)
        if place is not None:
            return _fold(sql[slice(*place)].strip('"'))
        return _UNNAMED.get(type(node).__name__) or _usual_name(type(node))
    return _UNNAMED.get(type(node).__name__)


@cache
def _usual_name(kind: type[exp.Func]) -> str | None:
    """What a node is called that lost its written name: the first of its names that is known."""
    if kind.__name__ in _NO_CALL:
        return None
    names = [name.lower() for name in kind.sql_names()]
    return next((name for name in names if name in ALLOWED_FUNCTIONS), None)


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else name


def check_calls(nodes: Iterable[exp.Expr], sql: str) -> frozenset[str]:
    """The functions that the query calls.

    Raises:
        QueryRejected: one is not on the reviewed list.
    """
    found: set[str] = set()
    for node in nodes:
        name = called_name(node, sql)
        if isinstance(node, exp.Func) and type(node).__name__ not in ALLOWED_CALLS:
            raise _refused(node, name or type(node).sql_names()[0].lower(), sql)
        if name is not None:
            if name not in ALLOWED_FUNCTIONS:
                raise _refused(node, name, sql)
            found.add(name)
        elif isinstance(node, exp.Func) and type(node).__name__ not in _NO_CALL:
            raise _refused(node, type(node).__name__.lower(), sql)
        elif isinstance(node, exp.Column) and not node.table:
            found.update(_called_columns(node, sql))
    return frozenset(found)


def check_written_calls(tokens: Sequence[Token], sql: str) -> frozenset[str]:
    """The functions that stand in the text before a bracket, whatever the tree says.

    sqlglot drops some arguments that a function should not have, and forgets some names.

    Raises:
        QueryRejected: a refused function is called, or one with a schema before its name.
    """
    found: set[str] = set()
    for index, (token, opening) in enumerate(pairwise(tokens)):
        if opening.text != "(" or token.kind not in {"word", "name"}:
            continue
        _refuse_schema(tokens, index, sql)
        name = _fold(token.text.strip('"'))
        if name in ALLOWED_FUNCTIONS:
            found.add(name)
        elif name in FUNCTIONS and not _names_columns(tokens, index):
            raise _refused_at(name, sql, token.start, token.end)
    return frozenset(found)


def _names_columns(tokens: Sequence[Token], index: int) -> bool:
    """Whether the word at `index` names a table or CTE, and the bracket after it its columns."""
    before = tokens[index - 1].text.upper() if index else ""
    if before in {"AS", ")", "WITH", "RECURSIVE"}:
        return True
    depth = 0
    for position in range(index + 1, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[position].text, 0)
        if depth == 0:
            after = [token.text.upper() for token in tokens[position + 1 : position + 3]]
            return after == ["AS", "("]
    return False


def _refuse_schema(tokens: Sequence[Token], index: int, sql: str) -> None:
    """Refuse `main.upper(x)`; `column.upper()` looks the same, and is allowed."""
    while index >= 2 and tokens[index - 1].text == ".":
        index -= 2
        schema = tokens[index]
        if _fold(schema.text.strip('"')) not in _REAL_SCHEMAS:
            continue
        raise refusal(
            Code.QUALIFIED_FUNCTION,
            sql,
            "A function has a schema before its name.",
            start=schema.start,
            end=schema.end,
            hint="Call it by its name alone.",
        )


def _called_columns(column: exp.Column, sql: str) -> frozenset[str]:
    """What a column's name calls where no column has it; quotes around it change nothing."""
    name = column.name.lower()
    if name in REFUSED_COLUMNS:
        refused = _refused(column, name, sql)
        refused.hint = f"A column of this name needs its table before it: t.{name}."
        raise refused
    return frozenset({"now"}) if name in CLOCK_COLUMNS else frozenset()


def _refused(node: exp.Expr, name: str, sql: str) -> QueryRejected:
    start, end = span(node) or (None, None)
    return _refused_at(name, sql, start, end)


def _refused_at(name: str, sql: str, start: int | None, end: int | None) -> QueryRejected:
    known = FUNCTIONS.get(name)
    if known is not None:
        return refusal(
            Code.FUNCTION_NOT_ALLOWED,
            sql,
            f"The function {name} is not allowed: it {known.reason}.",
            start=start,
            end=end,
            hint="Leave it out, or compute the value from columns of a dataset.",
        )
    elsewhere = IN_DUCKDB.get(name)
    near = difflib.get_close_matches(name, ALLOWED_FUNCTIONS, n=1, cutoff=_NEAR)
    hint = f"Did you mean {near[0]}?" if near else "Use the functions of DuckDB."
    return refusal(
        Code.UNKNOWN_FUNCTION,
        sql,
        "There is no function of this name.",
        start=start,
        end=end,
        hint=f"DuckDB has {elsewhere} for that." if elsewhere else OF_NO_ENGINE.get(name, hint),
    )

"""Which syntax a query may use, and how much of it.

Belongs here: the allow-list of sqlglot's node types, the size bounds inside the tree.
Does not belong here: which tables and functions are called (`tables`, `calls`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from lake_api.errors import QueryRejected
from lake_api.query.guard.codes import Code, refusal
from lake_api.query.guard.habits import habit_hint
from lake_api.query.guard.limits import GuardLimits
from lake_api.query.guard.text import Token

_SYNTAX = """
    Add Alias Aliases All And Any AtTimeZone Between BitwiseAnd BitwiseLeftShift BitwiseNot
    BitwiseOr BitwiseRightShift BitwiseXor Boolean Bracket CTE Collate Column ColumnDef
    Comprehension Cube DPipe DataType DataTypeParam Distinct Distance Div Dot EQ Escape Except
    Fetch Filter From GT GTE Glob Group GroupingSets Having ILike Identifier IgnoreNulls In IntDiv
    Intersect Interval IntervalSpan Is JSONKeyValue JSONPath JSONPathFilter JSONPathKey
    JSONPathRecursive JSONPathRoot JSONPathSelector JSONPathSlice JSONPathSubscript JSONPathUnion
    JSONPathWildcard Join Kwarg LT LTE Lambda Lateral Like Limit LimitOptions Literal Mod Mul NEQ
    Neg Not Null NullSafeEQ NullSafeNEQ Offset Or Order Ordered Overlaps Paren Pivot PivotAlias
    PositionalColumn PropertyEQ Qualify RespectNulls Rollup Select SimilarTo Slice Star Sub
    Subquery Table TableAlias TableSample Tuple Union UnpivotColumns Values Var Where Window
    WindowSpec With WithinGroup Xor
"""

ALLOWED_NODES: frozenset[str] = frozenset(_SYNTAX.split())
"""Names of the node types that a query may hold, beside function calls."""

_STATEMENT_WORDS = """
    Alter Analyze Attach Cache Command Comment Commit Connect Copy Create Declare Delete Describe
    Detach Disconnect Drop Execute ExecuteSql Export Get Grant Insert Install Into Kill LoadData
    Lock Merge Pragma Put Refresh Returning Revoke Rollback Set Show Summarize Transaction
    TruncateTable Uncache Update Use
"""
STATEMENT_NODES = frozenset(_STATEMENT_WORDS.split())
"""Node types that are statements, or make a SELECT into one that does more than reading."""
_NOT_READING = {
    "Into": "SELECT … INTO would write a table.",
    "Lock": "FOR UPDATE would lock rows.",
}
_NESTED = (exp.Lambda, exp.Comprehension)


def children(node: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes right below `node`."""
    for value in node.args.values():
        if isinstance(value, exp.Expr):
            yield value
        elif isinstance(value, list):
            items: list[Any] = value
            for item in items:
                if isinstance(item, exp.Expr):
                    yield item


def span(node: exp.Expr) -> tuple[int, int] | None:
    """Start and end in the text of the first node at or below `node` that has a place."""
    for part in node.walk(bfs=False):
        place = written_at(part)
        if place is not None:
            return place
    return None


def written_at(node: exp.Expr) -> tuple[int, int] | None:
    """Start and end in the text of the name or literal that the node itself was made from."""
    meta = node.meta
    return (int(meta["start"]), int(meta["end"]) + 1) if "start" in meta else None


def check_nodes(
    root: exp.Expr, sql: str, limits: GuardLimits, tokens: Sequence[Token]
) -> list[exp.Expr]:
    """Every node of the tree, after judging its type and the size of the whole.

    Raises:
        QueryRejected: a type is not on the list, or there is too much of something.
    """
    nodes: list[exp.Expr] = []
    counts = {"Join": 0, "CTE": 0, "set": 0}
    stack: list[tuple[exp.Expr, int, int]] = [(root, 1, 0)]
    while stack:
        node, depth, lambdas = stack.pop()
        nodes.append(node)
        name = type(node).__name__
        if name not in ALLOWED_NODES and not isinstance(node, exp.Func):
            raise _refused_node(node, name, sql, tokens)
        if name == "Select" and not node.expressions:
            raise _nothing_selected(node, sql)
        if name in counts:
            counts[name] += 1
        elif isinstance(node, exp.SetOperation):
            counts["set"] += 1
        elif isinstance(node, _NESTED):
            lambdas += 1
        elif name == "In" and len(node.expressions) > limits.max_in_items:
            raise _too_large(node, sql, "values in one IN list", limits.max_in_items)
        elif name == "Pivot":
            _check_pivot(node, sql)
        if depth > limits.max_depth or lambdas > limits.max_lambda_depth:
            raise _too_deep(node, sql)
        stack.extend((child, depth + 1, lambdas) for child in children(node))
    for what, count, allowed in (
        ("nodes", len(nodes), limits.max_nodes),
        ("joins", counts["Join"], limits.max_joins),
        ("CTEs", counts["CTE"], limits.max_ctes),
        ("set operations", counts["set"], limits.max_set_operations),
    ):
        if count > allowed:
            raise _too_large(root, sql, what, allowed)
    return nodes


def _refused_node(node: exp.Expr, name: str, sql: str, tokens: Sequence[Token]) -> QueryRejected:
    start, end = span(node) or (None, None)
    if name in STATEMENT_NODES:
        return refusal(
            Code.BLOCKED_STATEMENT,
            sql,
            _NOT_READING.get(name, "A statement inside the query is no SELECT."),
            start=start,
            end=end,
            hint=habit_hint(tokens) or "Leave it out: the lake is read-only.",
        )
    if name in {"Parameter", "Placeholder", "SessionParameter"}:
        return refusal(
            Code.PARAMETER,
            sql,
            "Parameters can't be bound here.",
            start=start,
            end=end,
            hint="Write the value into the SQL.",
        )
    return refusal(
        Code.UNSUPPORTED_SYNTAX,
        sql,
        f"This syntax ({name}) is not allowed.",
        start=start,
        end=end,
        hint=habit_hint(tokens) or "Write it with plain SELECT syntax.",
    )


def _nothing_selected(node: exp.Expr, sql: str) -> QueryRejected:
    start, end = span(node) or (None, None)
    return refusal(
        Code.SYNTAX_ERROR,
        sql,
        "A SELECT names no column.",
        start=start,
        end=end,
        hint="Name the columns, or write *.",
    )


def _too_large(node: exp.Expr, sql: str, what: str, allowed: int) -> QueryRejected:
    start, end = span(node) or (None, None)
    return refusal(
        Code.QUERY_TOO_LARGE,
        sql,
        f"The query has more than {allowed} {what}.",
        start=start,
        end=end,
        hint="Split the question into several queries.",
    )


def _too_deep(node: exp.Expr, sql: str) -> QueryRejected:
    start, end = span(node) or (None, None)
    return refusal(
        Code.QUERY_TOO_DEEP,
        sql,
        "Expressions or lambdas are nested too deeply.",
        start=start,
        end=end,
        hint="Name the inner parts in a WITH clause, or use IN (…) instead of a chain of OR.",
    )


def _check_pivot(node: exp.Expr, sql: str) -> None:
    if node.args.get("unpivot"):
        return
    # Without its values PIVOT is several statements to the engine: it looks them up first.
    wanted: list[Any] = [*(node.args.get("fields") or []), *node.expressions]
    columns = [item for item in wanted if not (isinstance(item, exp.In) and item.expressions)]
    if node.args.get("fields"):
        columns = [item for item in node.args["fields"] if not _lists_values(item)]
    if columns or not wanted:
        start, end = span(node) or (None, None)
        raise refusal(
            Code.PIVOT_NEEDS_VALUES,
            sql,
            "PIVOT does not list the values that become columns.",
            start=start,
            end=end,
            hint="Write ON column IN ('a', 'b').",
        )


def _lists_values(item: Any) -> bool:
    return isinstance(item, exp.In) and bool(item.expressions)

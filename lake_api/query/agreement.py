"""The second parser's vote: does the engine's own tree stay within what the guard allowed?

Belongs here: walking the text that DuckDB's `json_serialize_sql` gives. Allow-lists throughout:
what is not known here is a disagreement.
Does not belong here: calling the engine (`worker`), the first parser's opinion (`guard`).

The two parsers read some texts differently, so that a table or function seen by one is hidden
from the other. A query runs only when this walk finds nothing that the guard did not find.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from lake_api.query.functions import REFUSED_COLUMNS, TABLE_FUNCTIONS

CTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a common table expression may be called, so that no path can hide as one."""

ENGINE_TABLE = re.compile(r"(duckdb|pg|pragma|sqlite)_", re.IGNORECASE)
"""How every table of the engine's own begins that needs no schema before its name.

No common table expression may be called so: were one of them out of scope anywhere, the engine
would read its own table there.
"""

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_TABLE_REFS = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"}
)
_MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER"})
_ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING"})
_TYPES = _QUERY_NODES | _TABLE_REFS | _MODIFIERS | _ORDERS
_EXPRESSIONS = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "OPERATOR",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    }
)
_PLACES = ("catalog", "schema", "catalog_name", "schema_name")
_CALLS = frozenset({"FUNCTION", "WINDOW"})
_REAL_PLACES = frozenset({"main", "temp", "system", "pg_catalog", "information_schema", "memory"})

Node = dict[str, Any]


class _Disagreement(Exception):
    """What the engine's tree has and the guard did not allow."""


class _Walk:
    """One walk over the engine's tree, collecting names on the way."""

    def __init__(self, tables: Collection[str], functions: Collection[str] | None) -> None:
        self._allowed_tables = tables
        self._allowed_functions = functions
        self.tables: set[str] = set()
        self.table_functions: set[str] = set()
        self.functions: set[str] = set()
        self._waiting: list[tuple[Any, frozenset[str]]] = []

    def node(self, value: Any, scope: frozenset[str]) -> None:
        """Judge `value` and everything below it; `scope` has the visible CTE names.

        Without recursion: a chain of operators is deeper than the interpreter's stack.
        """
        self._waiting.append((value, scope))
        while self._waiting:
            value, scope = self._waiting.pop()
            if isinstance(value, list):
                self._waiting.extend((item, scope) for item in value)
            elif isinstance(value, dict):
                self._mapping(value, scope)

    def _mapping(self, node: Node, scope: frozenset[str]) -> None:
        kind = _known_kind(node)
        if kind == "BASE_TABLE":
            self._table(node, scope)
        elif kind == "TABLE_FUNCTION":
            self._table_function(node)
        elif kind == "COLUMN_REF":
            _refuse_column(node["column_names"])
        _refuse_places(node, kind)
        name = node.get("function_name")
        if name is not None:
            self._function(str(name).lower())
        if "cte_map" in node:
            scope = self._ctes(node["cte_map"], scope)
        # Only the step of a recursion sees its name, not the part that it begins with.
        step = scope | {_cte_name(node["cte_name"])} if kind == "RECURSIVE_CTE_NODE" else scope
        for key, child in node.items():
            if key != "cte_map" and isinstance(child, (dict, list)):
                self._waiting.append((child, step if key == "right" else scope))

    def _ctes(self, cte_map: Node, scope: frozenset[str]) -> frozenset[str]:
        for entry in cte_map["map"]:
            # A CTE sees those before it; itself only in the step of its recursion.
            self._waiting.append((entry["value"], scope))
            scope = scope | {_cte_name(entry["key"])}
        return scope

    def _table(self, node: Node, scope: frozenset[str]) -> None:
        name = str(node["table_name"])
        folded = name.lower() if name.isascii() else name
        if folded in scope:
            return
        self.tables.add(folded)
        if folded not in self._allowed_tables:
            raise _Disagreement("the engine sees another table")

    def _table_function(self, node: Node) -> None:
        function = node["function"]
        name = str(function.get("function_name", "")).lower()
        self.table_functions.add(name)
        if name not in TABLE_FUNCTIONS:
            raise _Disagreement("the engine sees another table function")

    def _function(self, name: str) -> None:
        self.functions.add(name)
        if self._allowed_functions is not None and name not in self._allowed_functions:
            raise _Disagreement(f"the engine sees the function {name[:64]}")


def _known_kind(node: Node) -> str | None:
    kind = node.get("class", node.get("type"))
    if not isinstance(kind, str):
        return None
    if kind not in (_EXPRESSIONS if "class" in node else _TYPES):
        raise _Disagreement(f"the engine sees {kind}")
    return kind


def _refuse_places(node: Node, kind: str | None) -> None:
    places = [str(node[place]).lower() for place in _PLACES if node.get(place)]
    # `column.upper()` is a function whose schema is the column; real schemas stay refused.
    if places and (kind not in _CALLS or not _REAL_PLACES.isdisjoint(places)):
        what = "table" if kind in _TABLE_REFS else "name"
        raise _Disagreement(f"the engine sees a {what} with a schema or catalog")
    if node.get("at_clause"):
        raise _Disagreement("the engine sees a time-travel clause")


def _refuse_column(names: list[Any]) -> None:
    if len(names) == 1 and str(names[0]).lower() in REFUSED_COLUMNS:
        raise _Disagreement(f"the engine sees the function {str(names[0]).lower()}")


def _cte_name(name: Any) -> str:
    text = str(name)
    if not CTE_NAME.fullmatch(text) or ENGINE_TABLE.match(text):
        raise _Disagreement("the engine sees a CTE with an unusual name")
    return text.lower()


def _statements(serialized: str) -> Iterator[Node]:
    document = msgspec.json.decode(serialized)
    if not isinstance(document, dict) or document.get("error") is not False:
        raise _Disagreement("the engine sees no SELECT statement")
    statements = document["statements"]
    if len(statements) != 1:
        raise _Disagreement("the engine sees several statements")
    for statement in statements:
        if statement.get("named_param_map"):
            raise _Disagreement("the engine sees parameters")
        yield statement["node"]


def disagreement(
    serialized: str, *, tables: frozenset[str], allowed_functions: frozenset[str]
) -> str | None:
    """What the engine's tree has beyond the guard's, or None when they agree.

    Args:
        serialized: what `json_serialize_sql` gave for the caller's text.
        tables: lower-case SQL names of the datasets that the guard saw.
        allowed_functions: lower-case names of the functions that may be called.
    """
    walk = _Walk(tables, allowed_functions)
    try:
        for node in _statements(serialized):
            walk.node(node, frozenset())
    except _Disagreement as found:
        return str(found)
    except RecursionError:
        return "the engine's tree is too deep"
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return "the engine's tree can't be read"
    return None


class _Anything(frozenset[str]):
    """Contains every name."""

    def __contains__(self, item: object) -> bool:
        return True


def duckdb_tree_names(
    serialized: str,
) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The tables (CTEs left out), table functions and functions of the engine's tree.

    Raises:
        ValueError: the tree has something that no query may have.
    """
    walk = _Walk(_Anything(), None)
    try:
        for node in _statements(serialized):
            walk.node(node, frozenset())
    except _Disagreement as found:
        raise ValueError(str(found)) from found
    return frozenset(walk.tables), frozenset(walk.table_functions), frozenset(walk.functions)

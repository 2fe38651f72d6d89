"""Which tables a query reads: datasets by exact name, and CTEs where they are in scope.

Belongs here: names that stand where a table stands, and the scopes of WITH.
Does not belong here: the arguments of table functions (`bounds`), what is in a dataset.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlglot import exp

from lake_api.errors import QueryRejected
from lake_api.query.agreement import CTE_NAME, ENGINE_TABLE
from lake_api.query.functions import TABLE_FUNCTIONS
from lake_api.query.guard.calls import called_name
from lake_api.query.guard.codes import Code, refusal
from lake_api.query.guard.habits import (
    catalog_hint,
    datasets_hint,
    habit_hint,
    opening_hint,
)
from lake_api.query.guard.nodes import children, span
from lake_api.query.guard.text import Token
from lake_assets.catalog import Dataset

_PATH_SIGNS = frozenset("/\\.:*?~[]{}|=&%@")
_STATEMENT_WORDS = frozenset({"show", "describe", "desc", "summarize", "pragma", "call", "explain"})
_TABLE_PARTS = frozenset({"this", "alias", "joins", "pivots", "sample", "laterals", "ordinality"})
# Table functions that sqlglot knows no node of.
_BY_NAME = frozenset({"json_each"})
_BY_SHAPE = (exp.Unnest, exp.Explode, exp.GenerateSeries)


def fold(name: str) -> str:
    """The form in which the engine compares names: it folds the case of ASCII letters only."""
    return name.lower() if name.isascii() else name


def check_tables(
    root: exp.Expr, sql: str, readable: Mapping[str, Dataset], tokens: Sequence[Token]
) -> tuple[Dataset, ...]:
    """The datasets that the query reads, in order of first appearance.

    Args:
        root: the whole statement.
        sql: its text.
        readable: the datasets that the caller may read, by SQL name.
        tokens: the text's tokens, for hints.

    Raises:
        QueryRejected: something else stands where a table belongs.
    """
    return _Tables(sql, readable, tokens).check(root)


class _Tables:
    def __init__(self, sql: str, readable: Mapping[str, Dataset], tokens: Sequence[Token]) -> None:
        self._sql = sql
        self._readable = readable
        self._tokens = tokens
        self._found: dict[str, tuple[int, Dataset]] = {}
        self._steps: dict[int, str] = {}  # recursive CTEs, by the part that sees its own name

    def check(self, root: exp.Expr) -> tuple[Dataset, ...]:
        stack: list[tuple[exp.Expr, frozenset[str]]] = [(root, frozenset())]
        while stack:
            node, scope = stack.pop()
            if (own := self._steps.get(id(node))) is not None:
                scope = scope | {own}
            with_ = node.args.get("with_")
            if isinstance(with_, exp.With):
                scope = self._ctes(with_, scope, stack)
            if isinstance(node, exp.Table):
                self._table(node, scope)
            elif isinstance(node, exp.Lateral):
                self._lateral(node)
            stack.extend((child, scope) for child in children(node) if child is not with_)
        return tuple(dataset for _, dataset in sorted(self._found.values(), key=lambda at: at[0]))

    def _ctes(
        self,
        with_: exp.With,
        scope: frozenset[str],
        stack: list[tuple[exp.Expr, frozenset[str]]],
    ) -> frozenset[str]:
        """Queue the CTEs of a WITH, each in its own scope; returns the scope of its statement."""
        own: set[str] = set()
        for cte in with_.expressions:
            identifier = cte.args["alias"].this
            name = fold(str(identifier.this))
            self._cte_name(identifier, name, own)
            own.add(name)
            # A CTE sees those before it, and itself only in the step of its recursion: to the
            # engine, the name in the first part of the UNION is a table outside of the query.
            step = _step(cte.this) if with_.args.get("recursive") else None
            if step is not None:
                self._steps[id(step)] = name
            stack.append((cte, scope))
            scope = scope | {name}
        return scope

    def _cte_name(self, identifier: exp.Expr, name: str, own: set[str]) -> None:
        if not CTE_NAME.fullmatch(name):
            raise self._refuse(
                identifier,
                Code.CTE_NAME,
                "A CTE has a name with other characters than letters, digits and underscores.",
                "Call it by a plain name.",
            )
        if ENGINE_TABLE.match(name):
            raise self._refuse(
                identifier,
                Code.CTE_NAME,
                f"The CTE {name} may have the name of one of the engine's own tables.",
                "Call it by a name that does not begin with duckdb_, pg_, pragma_ or sqlite_.",
            )
        if name in self._readable:
            raise self._refuse(
                identifier,
                Code.CTE_SHADOWS_DATASET,
                f"The CTE {name} has the name of a dataset.",
                f"Call it by another name, such as {name}_filtered.",
            )
        if name in own:
            raise self._refuse(
                identifier,
                Code.DUPLICATE_CTE,
                f"Two CTEs are called {name}.",
                "Give each its own name.",
            )

    def _table(self, table: exp.Table, scope: frozenset[str]) -> None:
        this = table.this
        if table.args.get("db") or table.args.get("catalog") or isinstance(this, exp.Dot):
            raise self._qualified(table)
        if isinstance(this, exp.Expr) and not isinstance(this, exp.Identifier):
            self._table_function(this)
            return
        odd = [key for key, value in table.args.items() if value and key not in _TABLE_PARTS]
        if odd or this is None:
            raise self._refuse(
                table,
                Code.UNSUPPORTED_SYNTAX,
                "This addition to a table is not allowed.",
                "Leave it out.",
            )
        start, _ = span(this) or (0, 0)
        if self._sql[start : start + 1] == "'":
            raise self._string(this)
        name = fold(str(this.this))
        if name in scope:
            return
        dataset = self._readable.get(name)
        if dataset is None:
            raise self._unknown(this, name, scope)
        known = self._found.get(name)
        if known is None or start < known[0]:
            self._found[name] = (start, dataset)

    def _lateral(self, lateral: exp.Lateral) -> None:
        if not isinstance(lateral.this, exp.Subquery):
            self._table_function(lateral.this)

    def _table_function(self, this: Any) -> None:
        name = called_name(this, self._sql) if isinstance(this, exp.Expr) else None
        if isinstance(this, _BY_SHAPE) and (name is None or name in TABLE_FUNCTIONS):
            return
        if isinstance(this, exp.Anonymous) and name in _BY_NAME:
            return
        raise self._refuse(
            this,
            Code.TABLE_FUNCTION,
            "A function stands where a table belongs.",
            catalog_hint(name or "", self._tokens, self._readable)
            or habit_hint(self._tokens)
            or "Select from a dataset by its name; the functions that may stand there are "
            f"{', '.join(sorted(TABLE_FUNCTIONS))}.",
        )

    def _qualified(self, table: exp.Table) -> QueryRejected:
        parts = [fold(part.name) for part in table.parts]
        hint = catalog_hint(".".join(parts), self._tokens, self._readable)
        return self._refuse(
            table,
            Code.QUALIFIED_TABLE,
            "A table has a schema or catalog before its name.",
            hint or f"Datasets are called by their SQL name alone.{self._written(parts)}",
        )

    def _written(self, parts: Sequence[str]) -> str:
        """The dataset that a name in parts may mean: all of them joined, or the last ones."""
        for first in range(len(parts)):
            name = "_".join(parts[first:])
            if name in self._readable:
                return f" Write {name}."
        near = self._near("_".join(parts[-2:]), ())
        return f" Did you mean {near}?" if near else ""

    def _near(self, name: str, scope: Collection[str]) -> str | None:
        found = difflib.get_close_matches(name, [*self._readable, *scope], n=1, cutoff=0.6)
        found = found or [full for full in self._readable if full.endswith(f"_{name}")]
        return found[0] if found else None

    def _path_hint(self, text: str) -> str:
        known = self._written([fold(part) for part in re.split(r"[/.]", text)][-3:])
        return f"Select from a dataset by its SQL name, without quotes.{known}"

    def _string(self, this: exp.Identifier) -> QueryRejected:
        text = str(this.this)
        path = not _PATH_SIGNS.isdisjoint(text)
        return self._refuse(
            this,
            Code.PATH_TABLE if path else Code.STRING_TABLE,
            f"A {'path' if path else 'string'} stands where a table belongs.",
            self._path_hint(text),
        )

    def _unknown(self, this: exp.Identifier, name: str, scope: frozenset[str]) -> QueryRejected:
        if name in _STATEMENT_WORDS:
            return self._refuse(
                this,
                Code.BLOCKED_STATEMENT,
                f"{name.upper()} is not allowed.",
                opening_hint(self._tokens, self._readable) or datasets_hint(self._readable),
            )
        if not _PATH_SIGNS.isdisjoint(name):
            return self._refuse(
                this,
                Code.PATH_TABLE,
                "A path or address stands where a table belongs.",
                self._path_hint(name),
            )
        near = self._near(name, scope)
        hint = catalog_hint(name, self._tokens, self._readable)
        if hint is None:
            hint = f"Did you mean {near}?" if near else datasets_hint(self._readable)
        return self._refuse(
            this, Code.UNKNOWN_TABLE, "There is no dataset of this name that you may read.", hint
        )

    def _refuse(self, node: exp.Expr, code: Code, detail: str, hint: str) -> QueryRejected:
        start, end = span(node) or (None, None)
        return refusal(code, self._sql, detail, start=start, end=end, hint=hint)


def _step(query: exp.Expr) -> exp.Expr | None:
    """The part of a recursive CTE that is run again and again; None where there is none."""
    while isinstance(query, exp.Subquery) and not query.args.get("alias"):
        query = query.this
    is_recursion = isinstance(query, exp.Union) and not query.args.get("by_name")
    return query.expression if is_recursion else None

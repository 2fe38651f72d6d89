"""The guard: one text and one caller in, a checked query or a refusal out.

Belongs here: the order of the checks, and remembering texts that passed.
Does not belong here: any single rule.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from lake_api.errors import QueryRejected
from lake_api.query.functions import VOLATILE_FUNCTIONS
from lake_api.query.guard.bounds import Bounds
from lake_api.query.guard.calls import check_calls, check_written_calls
from lake_api.query.guard.codes import Code, refusal
from lake_api.query.guard.habits import habit_hint, null_warnings, opening_hint
from lake_api.query.guard.limits import GuardLimits
from lake_api.query.guard.nodes import STATEMENT_NODES, check_nodes
from lake_api.query.guard.tables import check_tables
from lake_api.query.guard.text import Token, lex, without_mark
from lake_assets.catalog import Catalog, Dataset

_DIALECT = DuckDB()
# sqlglot wants other arguments of these than DuckDB; without an entry they are read as any call.
# Its compiled parser can't be inherited from.
for _name in ("APPLY", "REDUCE"):
    _DIALECT.parser_class.FUNCTIONS.pop(_name, None)
# Words that begin other statements, and are names like any other to DuckDB.
_DIALECT.parser_class.ID_VAR_TOKENS.update(
    {
        TokenType.ALTER,
        TokenType.DROP,
        TokenType.FORCE,
        TokenType.GRANT,
        TokenType.INSERT,
        TokenType.INSTALL,
        TokenType.REVOKE,
        TokenType.ROLLBACK,
    }
)
# Names to DuckDB that sqlglot can't always tell from what else they begin.
_HALF_KEYWORDS = frozenset(
    {"BETWEEN", "CUBE", "IF", "INTERVAL", "LOCK", "MAP", "ROLLUP", "SETS", "VALUES"}
)
# What sqlglot raises by mistake on text such as `a ->> )`, where it means a syntax error.
_PARSER_FAULTS = (TypeError, AttributeError, ValueError, LookupError)
_AFTER_NAMES = frozenset(
    {*",)]=<>*/|:.;", "AS", "ASC", "DESC", "ELSE", "END", "FROM", "IN", "IS", "THEN", "WHEN"}
)
_NEAR_TOKENS = 4
_FIRST_WORDS = frozenset({"SELECT", "WITH", "FROM"})
_SHOWS = frozenset({"SHOW", "DESCRIBE", "DESC", "SUMMARIZE"})
_VERB_WORDS = """
    ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT COMMENT COMMIT CONNECT COPY CREATE DEALLOCATE
    DECLARE DELETE DESC DESCRIBE DETACH DISABLE DISCONNECT DROP ENABLE EXEC EXECUTE EXPLAIN EXPORT
    FORCE GRANT IMPORT INSERT INSTALL KILL LISTEN LOAD MERGE NOTIFY PRAGMA PREPARE REFRESH REINDEX
    RENAME REPLACE RESET REVOKE ROLLBACK SAVEPOINT SET SHOW START SUMMARIZE SYSTEM TRUNCATE
    UNINSTALL UPDATE UPSERT USE VACUUM
"""
_VERBS = frozenset(_VERB_WORDS.split())
# sqlglot warns on what it reads as an opaque command; such text is refused here with a reason.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def _everything(dataset: Dataset) -> bool:
    del dataset
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedQuery:
    """A text that passed the guard.

    `datasets` stand in order of first appearance, each once. `functions` are lower-case names of
    the functions that were seen, as DuckDB names them where known. `has_limit` says whether the
    statement itself has a LIMIT. `volatile` says that the answer may change while the data does
    not, so that it can't be reused. `warnings` are about the text alone.
    """

    sql: str
    datasets: tuple[Dataset, ...]
    functions: frozenset[str]
    tree: exp.Expr
    has_limit: bool
    volatile: bool
    warnings: tuple[str, ...] = ()


class Guard:
    """Decides whether a text may run. Pure, and safe to share between threads."""

    def __init__(self, catalog: Catalog, *, limits: GuardLimits = GuardLimits()) -> None:  # noqa: B008 - frozen
        self._limits = limits
        self._datasets = tuple(catalog)
        self._remembered = lru_cache(maxsize=limits.cached_queries)(self._check)

    def check(self, sql: str, *, may_read: Callable[[Dataset], bool] = _everything) -> CheckedQuery:
        """The checked form of `sql`; the tree is shared, so treat it as read-only.

        Raises:
            QueryRejected: with one of `Code` as its code.
        """
        return self._remembered(sql, tuple(map(may_read, self._datasets)))

    def _check(self, sql: str, readable: tuple[bool, ...]) -> CheckedQuery:
        named = {
            dataset.sql_name: dataset
            for dataset, allowed in zip(self._datasets, readable, strict=True)
            if allowed
        }
        sql = without_mark(sql)
        tokens = lex(sql, self._limits)
        _check_start(sql, tokens, named)
        root = _parse(sql, tokens)
        nodes = check_nodes(root, sql, self._limits, tokens)
        datasets = check_tables(root, sql, named, tokens)
        _check_lambdas(nodes, sql, tokens)
        functions = check_calls(nodes, sql) | check_written_calls(tokens, sql)
        Bounds(sql, self._limits).check(nodes)
        return CheckedQuery(
            sql=sql,
            datasets=datasets,
            functions=functions,
            tree=root,
            has_limit=root.args.get("limit") is not None,
            volatile=not functions.isdisjoint(VOLATILE_FUNCTIONS),
            warnings=null_warnings({_NULL_SIGNS[type(n)] for n in nodes if _compares_null(n)}),
        )


_NULL_SIGNS: dict[type[exp.Expr], str] = {exp.EQ: "=", exp.NEQ: "<>"}


def _compares_null(node: exp.Expr) -> bool:
    return type(node) in _NULL_SIGNS and any(
        isinstance(side, exp.Null) for side in (node.this, node.args.get("expression"))
    )


def _check_start(sql: str, tokens: list[Token], readable: Mapping[str, Dataset]) -> None:
    for opening, word, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        # sqlglot reads `SELECT (SHOW tables)` as a column with an alias.
        if (
            opening.text == "("
            and word.text.upper() in _SHOWS
            and (after.kind in {"word", "name", "string"} or after.text == ")")
        ):
            raise refusal(
                Code.BLOCKED_STATEMENT,
                sql,
                f"{word.text.upper()} is not allowed.",
                start=word.start,
                end=word.end,
                hint=opening_hint(tokens[tokens.index(word) :], readable),
            )
    first = next((token for token in tokens if token.text != "("), tokens[0])
    word = first.text.upper()
    if word in _FIRST_WORDS:
        return
    code = Code.BLOCKED_STATEMENT if word in _VERBS else Code.NOT_A_SELECT
    raise refusal(
        code,
        sql,
        f"The statement starts with {word[:30]}; only SELECT can be asked.",
        start=first.start,
        end=first.end,
        hint=opening_hint(tokens, readable) or "Send one SELECT statement.",
    )


def _parse(sql: str, tokens: list[Token]) -> exp.Expr:
    try:
        parsed = _DIALECT.parse(sql)
    except (SqlglotError, *_PARSER_FAULTS) as error:
        raise _syntax_error(sql, error, tokens) from None
    except RecursionError:
        raise refusal(
            Code.QUERY_TOO_DEEP,
            sql,
            "The query is nested too deeply to be read.",
            hint="Name the inner parts in a WITH clause.",
        ) from None
    statements = [item for item in parsed if item and not isinstance(item, exp.Semicolon)]
    if len(statements) != 1:
        raise refusal(
            Code.MULTIPLE_STATEMENTS,
            sql,
            "The SQL has more than one statement.",
            hint="Send one SELECT statement per call.",
        )
    root = statements[0]
    if not isinstance(root, (exp.Select, exp.SetOperation, exp.Subquery)):
        other = type(root).__name__ in STATEMENT_NODES
        raise refusal(
            Code.BLOCKED_STATEMENT if other else Code.NOT_A_SELECT,
            sql,
            "The statement is no SELECT.",
            hint="Send one SELECT statement.",
        )
    return root


def _syntax_error(sql: str, error: Exception, tokens: list[Token]) -> QueryRejected:
    details = getattr(error, "errors", None) or [{}]
    line, column = details[0].get("line"), details[0].get("col")
    near = str(details[0].get("highlight") or "")
    start = None
    if line and column:
        lines = sql.split("\n")
        before = sum(len(text) + 1 for text in lines[: line - 1])
        start = max(0, min(len(sql), before + column - max(1, len(near))))
    return refusal(
        Code.SYNTAX_ERROR,
        sql,
        f"The SQL can't be read near {near[:40]}." if near else "The SQL can't be read.",
        start=start,
        end=None if start is None else start + max(1, len(near)),
        hint=_name_hint(tokens, start, is_sure=True)
        or habit_hint(tokens)
        or _name_hint(tokens, start)
        or "Check commas, brackets and quotes there; the dialect is DuckDB's.",
    )


def _name_hint(tokens: list[Token], start: int | None, *, is_sure: bool = False) -> str | None:
    """What to do about a column that is called like a keyword, near the place of an error.

    With `is_sure`, what follows the word can only follow a name.
    """
    if start is None:
        return None
    near = [place for place, token in enumerate(tokens) if token.start <= start][-_NEAR_TOKENS:]
    found = [
        tokens[place].text
        for place in near
        if tokens[place].text.upper() in _HALF_KEYWORDS
        and not (is_sure and _begins_more(tokens[place + 1 : place + 2]))
    ]
    if not found:
        return None
    return f'`{found[-1]}` is also a keyword: as a name it needs quotes, "{found[-1]}".'


def _begins_more(following: list[Token]) -> bool:
    return not following or following[0].text.upper() not in _AFTER_NAMES


def _check_lambdas(nodes: list[exp.Expr], sql: str, tokens: list[Token]) -> None:
    """Refuse `x -> …`: the engine takes `lambda x: …` only, and reads the arrow as JSON's."""
    written = sum(1 for token in tokens if token.text.lower() == "lambda")
    lambdas = [
        node
        for node in nodes
        # `payload -> 'key'` inside a call comes as a lambda, too; a literal body is a JSON path.
        if isinstance(node, exp.Lambda) and not isinstance(node.this, exp.Literal)
    ]
    if len(lambdas) <= written:
        return
    arrow = next(
        (
            (first, second)
            for first, second in pairwise(tokens)
            if first.text == "-" and second.text == ">" and first.end == second.start
        ),
        None,
    )
    raise refusal(
        Code.ARROW_LAMBDA,
        sql,
        "The arrow form of lambdas is not allowed.",
        start=arrow[0].start if arrow else None,
        end=arrow[1].end if arrow else None,
        hint="Write lambda x: … instead of x -> ….",
    )

"""Texts to try: SQL trees that hypothesis builds, and corpus entries with mutations.

Honest parts and hostile ones are mixed at every place of a tree. Hostile means paths, refused
functions and statements, the engine's own tables, a dataset that the caller may not read, and
Unicode where the two parsers differ.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from lake_api.query.functions import ALLOWED_FUNCTIONS, FUNCTIONS
from lake_assets.catalog import Dataset, load_catalog
from tests.query.guard_cases import ALLOWED, REJECTED

Draw = Any  # what hypothesis gives to a composite strategy

FORBIDDEN = "business_equity_grants"
"""The dataset that the caller may not read."""

CATALOG = load_catalog()
READABLE: tuple[Dataset, ...] = tuple(one for one in CATALOG if one.sql_name != FORBIDDEN)

_SPACES = (
    " ", " ", " ", " ", " ", "\n", "\t", "/**/", " -- x\n", "\r\n", "\u00a0", "\u200b", "\ufeff",
    "\u2028", "\u2060", "\f", "\v", "\x00",
)  # fmt: skip
_PATHS = (
    "/etc/passwd", "/etc/canary.csv", "canary.csv", "/proc/self/environ", "../engine/canary.txt",
    "/etc/*", "s3://bucket/secret/canary.parquet", "http://127.0.0.1:9/canary.csv",
    "../objects/raw/business/equity_grants/date=2026-11-01/data.parquet",
    "../objects/*/*/*/*/*.parquet", "file:///etc/passwd", "/dev/stdin",
)  # fmt: skip
_WORDS = (
    "x", "a", "b", "date", "status", "agent_id", "run_id", "cost_usd", "metadata", "created_at",
    "rowid", "filename", "file_row_number", "file_index", "current_user", "current_query",
    "current_schema", "tables", "é", "ﬁ", "select", "TZ", "LANG",
)  # fmt: skip
_ENGINE_TABLES = (
    "duckdb_settings", "information_schema.tables", "pg_catalog.pg_settings", "sqlite_master",
    "duckdb_secrets", "duckdb_views", "pragma_version", "main.agent_run_log", "temp.agent_run_log",
    "memory.main.agent_run_log", "system.main.duckdb_settings",
)  # fmt: skip
_FUNCTIONS = tuple(sorted(FUNCTIONS))
_ALLOWED = tuple(sorted(ALLOWED_FUNCTIONS))
_TABLE_FUNCTIONS = tuple(
    sorted(
        name
        for name, function in FUNCTIONS.items()
        if any(kind.startswith(("table", "pragma")) for kind in function.kinds)
    )
)
_OPERATORS = (
    "+", "-", "*", "/", "//", "%", "||", "=", "<>", "<", ">=", "->", "->>", "AND", "OR", "LIKE",
    "SIMILAR TO", "~", "^@", "&&", "@>", "<<", "&", "IS DISTINCT FROM", "COLLATE", "::", "**",
    "NOT IN", "GLOB", "~~~", "!~~*", ".", "AT TIME ZONE",
)  # fmt: skip
_TYPES = (
    "INTEGER", "VARCHAR", "DATE", "TIMESTAMPTZ", "DOUBLE", "JSON", "BLOB", "INTEGER[]", "UUID",
    "STRUCT(a INTEGER)", "MAP(VARCHAR, INTEGER)", "DECIMAL(18, 3)", "VARIANT", "INTERVAL", "BIT",
)  # fmt: skip


def _pick(draw: Draw, values: Sequence[str]) -> str:
    return str(draw(st.sampled_from(values)))


@st.composite
def _literal(draw: Draw) -> str:
    kind = draw(st.integers(0, 9))
    if kind < 3:
        return str(draw(st.integers(-5, 1_000)))
    if kind < 5:
        return "'" + _pick(draw, _PATHS).replace("'", "''") + "'"
    if kind < 8:
        return "'" + str(draw(st.text(max_size=6))).replace("'", "''") + "'"
    return _pick(
        draw, ("NULL", "true", "DATE '2026-11-01'", "INTERVAL 1 DAY", "[1, 2]", "{'a': 1}", "1e3")
    )


def _name(draw: Draw) -> str:
    word = _pick(draw, _WORDS)
    return f'"{word}"' if draw(st.integers(0, 5)) == 0 else word


def _call(draw: Draw, depth: int) -> str:
    name = _pick(draw, _ALLOWED if draw(st.integers(0, 15)) else _FUNCTIONS)
    name = f'"{name}"' if draw(st.integers(0, 9)) == 0 else name
    arguments = ", ".join(_expression(draw, depth - 1) for _ in range(draw(st.integers(0, 3))))
    call = f"{name}({arguments})"
    extra = draw(st.integers(0, 12))
    if extra == 0:
        call += f" OVER (ORDER BY {_expression(draw, 0)})"
    elif extra == 1:
        call += f" FILTER ({_expression(draw, 0)})"
    elif extra == 2:
        call = f"{_name(draw)}.{call}"
    return call


def _expression(draw: Draw, depth: int) -> str:
    if depth <= 0:
        return _name(draw) if draw(st.booleans()) else str(draw(_literal()))
    inner = depth - 1
    kind = draw(st.integers(0, 15))
    if kind < 4:
        return _call(draw, depth)
    if kind < 7:
        left, right = _expression(draw, inner), _expression(draw, inner)
        return f"{left}{_space(draw)}{_pick(draw, _OPERATORS)} {right}"
    shapes = (
        lambda: f"({_expression(draw, inner)})",
        lambda: f"CAST({_expression(draw, inner)} AS {_pick(draw, _TYPES)})",
        lambda: f"CASE WHEN {_expression(draw, inner)} THEN {_expression(draw, inner)} END",
        lambda: f"({_query(draw, inner)})",
        lambda: f"EXISTS ({_query(draw, inner)})",
        lambda: f"[{_expression(draw, inner)} FOR x IN {_expression(draw, inner)}]",
        lambda: f"list_transform([1], lambda x: {_expression(draw, inner)})",
        lambda: f"COLUMNS({_expression(draw, 0)})",
        lambda: f"{_expression(draw, inner)}[{_expression(draw, 0)}]",
    )
    return str(shapes[kind - 7]())


def _table(draw: Draw, depth: int) -> str:
    kind = draw(st.integers(0, 19)) if draw(st.integers(0, 2)) == 0 else 0
    if kind < 7:
        return _pick(draw, ("agent_run_log", "platform_llm_token_usage", "mcp_request_logs"))
    if kind < 9:
        return _pick(draw, (FORBIDDEN, f'"{FORBIDDEN}"', "a", "b"))
    if kind == 9:
        return "'" + _pick(draw, _PATHS) + "'"
    if kind == 10:
        return '"' + _pick(draw, _PATHS) + '"'
    if kind == 11:
        return _pick(draw, _ENGINE_TABLES)
    if kind < 15:
        name = _pick(draw, _TABLE_FUNCTIONS)
        lateral = _pick(draw, ("", "", "LATERAL "))
        return f"{lateral}{name}({_expression(draw, 0)})"
    if kind == 15:
        return f"({_pick(draw, ('DESCRIBE', 'SUMMARIZE', 'SHOW'))} {_table(draw, 0)})"
    if kind == 16:
        return f"(VALUES ({_expression(draw, 0)})) v(a)"
    if depth <= 0:
        return "agent_run_log"
    if kind == 17:
        return f"(PIVOT {_table(draw, depth - 1)} ON status IN ('a') USING count(*))"
    return f"({_query(draw, depth - 1)}) s"


def _space(draw: Draw) -> str:
    return _pick(draw, _SPACES[:8]) if draw(st.integers(0, 20)) else _pick(draw, _SPACES)


def _select(draw: Draw, depth: int) -> str:
    star = ("*", "* EXCLUDE (date)", "* REPLACE (1 AS date)", "count(*)")
    items = [
        _pick(draw, star) if draw(st.integers(0, 3)) == 0 else _expression(draw, depth)
        for _ in range(draw(st.integers(1, 3)))
    ]
    parts = [f"SELECT {', '.join(items)}"]
    if draw(st.integers(0, 7)):
        joins = _pick(draw, (" JOIN ", ", ", " LEFT JOIN ", " ASOF JOIN ", " POSITIONAL JOIN "))
        tables = [_table(draw, depth) for _ in range(draw(st.sampled_from((1, 1, 1, 2))))]
        using = " USING (agent_id)" if len(tables) > 1 and "JOIN" in joins else ""
        parts.append(f"FROM {joins.join(tables)}{using}")
    clauses = ("WHERE", "GROUP BY", "HAVING", "QUALIFY", "ORDER BY", "LIMIT")
    parts.extend(
        f"{clause} {_expression(draw, min(1, depth))}"
        for clause in clauses
        if draw(st.integers(0, 7)) == 0
    )
    return _space(draw).join(parts)


def _query(draw: Draw, depth: int) -> str:
    text = _select(draw, depth)
    kind = draw(st.integers(0, 11))
    if kind == 0:
        text = f"{text} {_pick(draw, ('UNION ALL', 'EXCEPT', 'UNION BY NAME'))} {_select(draw, 0)}"
    elif kind == 1:
        recursive = _pick(draw, ("", "RECURSIVE "))
        body = _select(draw, depth)
        if recursive:
            body = f"{body} {_pick(draw, ('UNION', 'UNION ALL', 'EXCEPT'))} {_select(draw, depth)}"
        name = _pick(draw, ("a", "b", "rows", *_ENGINE_TABLES[3:7]))
        text = f"WITH {recursive}{name} AS ({body}) {text}"
    elif kind == 2:
        text = f"FROM {_table(draw, depth)}"
    return text


_WRAPPERS = (
    *["{}"] * 30, "{};", "({})", "EXPLAIN {}", "COPY ({}) TO '/etc/x.csv'", "{}; SELECT 1",
    "CREATE TEMP TABLE a AS {}", "WITH i AS (INSERT INTO a {}) FROM i", "SET a = {}",
    "SELECT * FROM query('{}')", "PREPARE p AS {}", "DESCRIBE {}", "PRAGMA {}", "\ufeff{}",
)  # fmt: skip


@st.composite
def trees(draw: Draw) -> str:
    """A text that is SQL of some kind."""
    return _pick(draw, _WRAPPERS).replace("{}", _query(draw, draw(st.integers(0, 3))))


def _is_sendable(text: str) -> bool:
    """Whether JSON can carry it: not with half of a surrogate pair."""
    return text == text.encode(errors="replace").decode()


_CORPUS = tuple(
    case.sql
    for case in (*ALLOWED * 3, *REJECTED)
    if len(case.sql) < 1_000 and _is_sendable(case.sql)
)
_PIECES = (
    *"()[]{},.;:'\"", "--", "/*", "*/", "->", "->>", "lambda x:", " FROM ", " SELECT ", " UNION ",
    "'/etc/passwd'", '"canary.csv"', "read_csv('canary.csv')", "query(", "LATERAL ", " AS ", "$$",
    "E'", "#1", "@", "!", "||", " PIVOT ", "COLUMNS(", "SHOW ", "SUMMARIZE ", "getenv('LANG')",
    "getvariable(", "main.", "current_user", "WITH a AS ", " VALUES ", "INSERT INTO ", " AT ", "{{",
    "`", "\\", FORBIDDEN, f" JOIN {FORBIDDEN} ", "read_text('../engine/canary.txt')", *_SPACES,
)  # fmt: skip


@st.composite
def mutations(draw: Draw) -> str:
    """A corpus entry with a few pieces put in, cut out, or taken from another entry."""
    text = _pick(draw, _CORPUS)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(1, 12)))
        kind = draw(st.integers(0, 5))
        if kind < 2:
            text = text[:start] + _pick(draw, _PIECES) + text[start:]
        elif kind == 2:
            text = text[:start] + text[end:]
        elif kind == 3:
            other = _pick(draw, _CORPUS)
            cut = draw(st.integers(0, len(other)))
            text = text[:start] + other[cut : cut + 30] + text[start:]
        elif kind == 4:
            # Any character there is that can be sent.
            text = text[:start] + draw(st.characters(exclude_categories=["Cs"])) + text[end:]
        else:
            text = text[:end] + text[start:]
    return text


def texts() -> st.SearchStrategy[str]:
    """All of them."""
    return st.one_of(trees(), mutations())

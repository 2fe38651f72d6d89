"""Functions whose work depends on the lengths of two texts, bounded while they run.

Belongs here: the macros that stand before these functions of the engine.
Does not belong here: bounds that a query's text shows (`lake_api.query.guard.bounds`).

One call takes time by the product of both lengths and can't be interrupted. What the columns hold
is known only while the query runs, so a temporary macro of the function's own name checks the
lengths and then calls the engine's.
"""

from collections.abc import Iterator

import duckdb

from lake_api.query.functions import FUNCTIONS, MAX_DISTANCE_CHARS

TOO_LONG = "compares two texts of more than"
"""A part of the engine's message when the bound was passed; the name stands before it."""

_NAMES = tuple(name for name, one in FUNCTIONS.items() if one.bound == "distance")
_WITH_CUTOFF = frozenset({"jaro_similarity", "jaro_winkler_similarity"})


def bound_functions(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Put the macros of the functions that `sql` may call before the engine's own."""
    # The engine folds the case of ASCII letters only, and a name can't be written with escapes.
    text = sql.lower()
    for name in _NAMES:
        if name in text:
            cursor.execute(f"CREATE TEMP MACRO {name}{', '.join(_forms(name))}")


def _forms(name: str) -> Iterator[str]:
    yield f"(a, b) AS {_bounded(name, '')}"
    if name in _WITH_CUTOFF:
        yield f"(a, b, c) AS {_bounded(name, ', c')}"


def _bounded(name: str, more: str) -> str:
    # Each parameter stands once: an argument that stood twice would make nested calls grow without
    # bound. `error` would be a side effect, so that no alias could name the call.
    fault = f"concat('{name} {TOO_LONG} {MAX_DISTANCE_CHARS} characters', left(pair[1], 0))"
    return f"""list_transform([[a::VARCHAR, b::VARCHAR]], lambda pair:
        CASE WHEN least(length(pair[1]), length(pair[2])) > {MAX_DISTANCE_CHARS}
        THEN CAST({fault} AS BIGINT)
        ELSE system.main.{name}(pair[1], pair[2]{more}) END
    )[1]"""

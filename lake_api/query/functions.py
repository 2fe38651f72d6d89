"""The reviewed functions of the engine, as data.

Belongs here: reading `functions.csv` and the sets made of it. The file names every function that
the pinned engine lists in `duckdb_functions()`, with a verdict and the category that is its
reason; a test fails when the engine has one that the file does not classify.
Does not belong here: judging a query (`guard`, `agreement`).

Columns of the file: `name` in lower case, `kinds` as the engine says (or `syntax` for what only
the parser makes), `verdict` (`allow` or `refuse`), `category` (a key of `CATEGORIES`), `bound`
(the rule of `guard.bounds` that its arguments must obey, or empty).
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "aggregate": "computes one value from many rows",
        "bit": "works on bits",
        "clock": "reads the clock, so its answer can't be cached",
        "conditional": "chooses between values",
        "date": "works on dates, times and intervals",
        "json": "reads or builds JSON values",
        "list": "works on lists",
        "map": "works on maps",
        "numeric": "computes numbers",
        "operator": "is written as an operator",
        "random": "makes random values, so its answer can't be cached",
        "regex": "matches regular expressions",
        "string": "works on text",
        "struct": "works on structs and unions",
        "syntax": "is part of the SQL syntax",
        "type": "tells about the type of a value",
        "window": "looks at neighbouring rows",
        "collation": "is the engine's own sorting helper; use COLLATE",
        "engine_internal": "is internal to the engine",
        "file": "reads or writes files",
        "geometry": "works on geometries, which no dataset has",
        "hidden_sql": "runs or takes apart SQL that is hidden in a string",
        "host": "reaches into the process or to the outside",
        "introspection": "tells about the engine instead of the data",
        "memory": "can fill the memory with one call",
        "raises": "only raises errors",
        "settings": "reads or changes settings, logs or variables of the engine",
        "state": "keeps or hands over state between queries",
        "table": "is a table function, and none of the few that are allowed",
        "time_waster": "only waits",
        "variant": "works on variants, which no dataset has",
    }
)
"""What a category of functions does; for refused ones this is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One reviewed function."""

    name: str
    kinds: tuple[str, ...]
    allowed: bool
    category: str
    bound: str

    @property
    def reason(self) -> str:
        """What it does; why it is refused, where it is."""
        return CATEGORIES[self.category]


def _read() -> dict[str, Function]:
    text = files("lake_api.query").joinpath("functions.csv").read_text(encoding="utf-8")
    return {
        row["name"]: Function(
            name=row["name"],
            kinds=tuple(row["kinds"].split()),
            allowed=row["verdict"] == "allow",
            category=row["category"],
            bound=row["bound"],
        )
        for row in csv.DictReader(text.splitlines())
    }


FUNCTIONS: Mapping[str, Function] = MappingProxyType(_read())
"""Every reviewed function, by its name in lower case."""

ALLOWED_FUNCTIONS: frozenset[str] = frozenset(
    name for name, function in FUNCTIONS.items() if function.allowed
)
"""The names that a query may use, operators and what syntax turns into among them."""

VOLATILE_FUNCTIONS: frozenset[str] = frozenset(
    name
    for name, function in FUNCTIONS.items()
    if function.allowed and function.category in {"clock", "random"}
)
"""Allowed names whose answer changes while the data does not; their results can't be reused."""

CLOCK_COLUMNS: frozenset[str] = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
"""Column names that the engine reads as a clock where no column has them, in quotes as well."""

REFUSED_COLUMNS: frozenset[str] = frozenset(
    {
        "current_catalog",
        "current_database",
        "current_query",
        "current_role",
        "current_schema",
        "current_user",
        "session_user",
        "user",
    }
)
"""Column names that the engine reads as a function that tells of itself."""

MAX_DISTANCE_CHARS = 256
"""The most characters that the shorter of two texts may have whose distance is computed."""

TABLE_FUNCTIONS: frozenset[str] = frozenset({"unnest", "range", "generate_series", "json_each"})
"""The only functions that may stand where a table stands."""

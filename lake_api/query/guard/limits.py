"""Every bound of the guard as data: name, default, sentence.

Belongs here: the numbers. Does not belong here: counting anything.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from lake_api.query.functions import MAX_DISTANCE_CHARS


def _limit(default: int, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """How large a query may be, before and after it is parsed."""

    max_chars: int = _limit(4_000, "Characters of SQL.")
    max_tokens: int = _limit(1_500, "Words, numbers, strings and signs.")
    max_nesting: int = _limit(32, "Brackets and CASE expressions inside one another.")
    max_prefixes: int = _limit(8, "Signs or NOTs in a row before one expression.")
    max_nodes: int = _limit(3_000, "Nodes of the parsed query.")
    max_depth: int = _limit(200, "Nodes from the top of the parsed query to its lowest leaf.")
    max_joins: int = _limit(12, "Joins, commas between tables included.")
    max_set_operations: int = _limit(16, "UNION, INTERSECT and EXCEPT.")
    max_ctes: int = _limit(20, "Common table expressions.")
    max_in_items: int = _limit(500, "Values in one IN list.")
    max_lambda_depth: int = _limit(8, "Lambdas or list comprehensions inside one another.")
    max_series_rows: int = _limit(1_000_000, "Values that one range or generate_series makes.")
    max_growth: int = _limit(100_000, "Characters or items that repeat, lpad and the like make.")
    max_count_argument: int = _limit(10_000, "The n of min(x, n), approx_top_k(x, n) and alike.")
    max_format_width: int = _limit(1_000, "A width or precision inside a format string.")
    max_pattern_chars: int = _limit(500, "Characters of a regular expression.")
    max_distance_chars: int = _limit(
        MAX_DISTANCE_CHARS, "Characters that a text distance compares with."
    )
    cached_queries: int = _limit(512, "Checked queries that are remembered.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One bound, for the documentation."""

    name: str
    default: int
    sentence: str


LIMITS: tuple[Limit, ...] = tuple(
    Limit(name=item.name, default=value, sentence=str(item.metadata["sentence"]))
    for item in fields(GuardLimits)
    if isinstance(value := item.default, int)
)
"""The bounds with their sentences, in the order of `GuardLimits`."""

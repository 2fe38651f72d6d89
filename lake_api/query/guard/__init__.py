"""Whether a text is a query that its caller may run. Pure: text and catalogue in, verdict out.

    text      is it lexed alike by both parsers, and small enough to parse?
    parse     exactly one SELECT, by sqlglot
    nodes     only syntax from the allow-list, within the size bounds
    tables    only datasets that the caller may read, and CTEs in scope
    calls     only reviewed functions
    bounds    only arguments that can't make one call run or grow without end
    codes     what a refusal can be, each with its sentence
    limits    every bound as data

Belongs here: judging. Does not belong here: reading, planning, rewriting or running anything.
The text runs unchanged, and only after the engine's own parser agrees (`query.agreement`).
"""

from lake_api.query.guard.codes import Code
from lake_api.query.guard.guard import CheckedQuery, Guard
from lake_api.query.guard.limits import LIMITS, GuardLimits, Limit

__all__ = ["LIMITS", "CheckedQuery", "Code", "Guard", "GuardLimits", "Limit"]

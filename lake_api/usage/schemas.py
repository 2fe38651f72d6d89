"""The body of the usage route.

Belongs here: answer structs and their example. Does not belong here: any counting.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from lake_api.usage.holders import Whose


class UsedToday(msgspec.Struct, frozen=True, kw_only=True):
    """What was used since the UTC day began; a swarm's has what its agents used."""

    rows: int
    bytes: Annotated[int, msgspec.Meta(description="Bytes of answers.")]
    seconds: Annotated[float, msgspec.Meta(description="Seconds that calls took.")]


class LimitStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: what it allows, what of it is used, and when that comes back."""

    limit: str
    of: Annotated[
        Whose, msgspec.Meta(description="Whose it is; a swarm's binds all its agents together.")
    ]
    allowed: int
    used: int
    left: int
    resets_at: Annotated[
        datetime | None,
        msgspec.Meta(
            description="When the first of what is used comes back (a window), or all of it (a "
            "day); null when nothing is used, and for queries at once, which end by themselves."
        ),
    ]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How a caller stands."""

    caller: str
    role: Literal["admin", "swarm", "agent"]
    token_id: UUID | None
    swarm_id: UUID | None
    day: date
    today: Annotated[
        UsedToday | None,
        msgspec.Meta(description="Null for callers without a token, who are not added up."),
    ]
    limits: tuple[LimitStanding, ...]


USAGE_EXAMPLE: dict[str, Any] = {
    "caller": "aurora",
    "role": "agent",
    "token_id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11",
    "swarm_id": None,
    "day": "2026-11-22",
    "today": {"rows": 48210, "bytes": 3910442, "seconds": 12.4},
    "limits": [
        {
            "limit": "requests_per_minute",
            "of": "token",
            "allowed": 60,
            "used": 3,
            "left": 57,
            "resets_at": "2026-11-22T10:30:41Z",
        },
        {
            "limit": "rows_per_day",
            "of": "token",
            "allowed": 1000000,
            "used": 48210,
            "left": 951790,
            "resets_at": "2026-11-23T00:00:00Z",
        },
    ],
}

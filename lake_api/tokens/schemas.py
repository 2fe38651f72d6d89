"""The bodies of the token routes.

Belongs here: request and answer structs and their examples.
Does not belong here: what a token may be asked for (`controller`).
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from lake_api.tokens.grants import TokenLimits

MAX_LIFE_S = 366 * 86_400
"""Seconds that an agent's token lives at most; a swarm's may live without end."""

_DATASETS = msgspec.Meta(
    min_length=1,
    max_length=64,
    description="Patterns of datasets: `sales/*`, `!sales/refunds*`; `!` takes away.",
)


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make."""

    kind: Literal["swarm", "agent"]
    name: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z0-9._:@-]{1,128}$",
            description="Who holds it: 1 to 128 of A-Z a-z 0-9 . _ : @ -",
        ),
    ]
    datasets: Annotated[tuple[str, ...], _DATASETS] = ("*",)
    operations: Annotated[
        tuple[Literal["query", "jobs", "exports", "artifacts", "trigger"], ...],
        msgspec.Meta(description="What it allows; everything but `trigger` when left out."),
    ] = ("query", "jobs", "exports", "artifacts")
    limits: Annotated[
        TokenLimits, msgspec.Meta(description="How much it may use; what is left out is free.")
    ] = TokenLimits()
    expires_in_s: (
        Annotated[
            int, msgspec.Meta(ge=1, description="Seconds that it lives; 90 days for an agent's.")
        ]
        | None
    ) = None


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its text."""

    id: UUID
    kind: Literal["swarm", "agent"]
    name: str
    swarm_id: UUID | None
    datasets: tuple[str, ...]
    operations: tuple[str, ...]
    limits: TokenLimits
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewToken(TokenInfo, frozen=True, kw_only=True):
    """A token that was just made; `token` is told this once."""

    token: str


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, newest first."""

    tokens: tuple[TokenInfo, ...]


TOKEN_REQUEST_EXAMPLE: dict[str, Any] = {
    "kind": "agent",
    "name": "aurora",
    "datasets": ["sales/*", "!sales/refunds*"],
    "operations": ["query", "jobs"],
    "expires_in_s": 2_592_000,
}
TOKEN_EXAMPLE: dict[str, Any] = {
    "id": "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11",
    "kind": "agent",
    "name": "aurora",
    "swarm_id": None,
    "datasets": ["sales/*", "!sales/refunds*"],
    "operations": ["jobs", "query"],
    "limits": {},
    "state": "live",
    "created_at": "2026-11-22T10:30:00Z",
    "expires_at": "2026-12-22T10:30:00Z",
    "revoked_at": None,
}

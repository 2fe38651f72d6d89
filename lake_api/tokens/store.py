"""Making, finding and revoking tokens.

Belongs here: the rules of a token's life, over the table.
Does not belong here: HTTP (`controller`), what a grant means (`grants`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Bundle, aliased

from lake_api.clock import Clock
from lake_api.database.database import Database
from lake_api.tokens.grants import Grant, TokenLimits
from lake_api.tokens.secret import TokenKind, hash_of, mint
from lake_api.tokens.table import TokenRow

_COLUMNS = (
    "id", "kind", "name", "swarm_id", "datasets", "operations", "limits", "created_at",
    "expires_at", "revoked_at",
)  # fmt: skip
_SWARM = aliased(TokenRow)
# Bare columns: each request asks for its token, and objects of the table would cost it twice.
_WITH_SWARM = (
    select(
        *(Bundle("row", *(getattr(one, name) for name in _COLUMNS)) for one in (TokenRow, _SWARM))
    )
    .outerjoin(_SWARM, _SWARM.id == TokenRow.swarm_id)
    .where(or_(TokenRow.swarm_id.is_(None), _SWARM.id.is_not(None)))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token without its text. `is_live` is as of when it was looked up."""

    id: UUID
    kind: TokenKind
    name: str
    swarm_id: UUID | None
    grant: Grant
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Whether it lets its holder in."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore:
    """The tokens of the service. `clock` gives the current time in UTC.

    Nothing is remembered: a token that one replica revokes is refused by all from then on.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self,
        *,
        kind: TokenKind,
        name: str,
        grant: Grant,
        swarm_id: UUID | None,
        expires_at: datetime | None,
    ) -> tuple[Token, str]:
        """A new token and its text, which nobody can read again."""
        text = mint(kind)
        row = TokenRow(
            kind=kind.value,
            name=name,
            swarm_id=swarm_id,
            secret_hash=hash_of(text),
            datasets=list(grant.datasets),
            operations=sorted(grant.operations),
            limits=msgspec.to_builtins(grant.limits),
            created_at=self._clock(),
            expires_at=expires_at,
            revoked_at=None,
        )
        async with self._database.session() as session:
            session.add(row)
        return _token(row), text

    async def find(self, text: str) -> Token | None:
        """The live token with this text; its swarm, when it has one, lives as well."""
        return await self._live(TokenRow.secret_hash == hash_of(text))

    async def live(self, token_id: UUID) -> Token | None:
        """A token by its id, with its grant within the swarm's; None unless both let it in."""
        return await self._live(TokenRow.id == token_id)

    async def _live(self, which: ColumnElement[bool]) -> Token | None:
        wanted = _WITH_SWARM.where(which)
        async with self._database.session() as session:
            found = (await session.execute(wanted)).one_or_none()
        if found is None:
            return None
        now = self._clock()
        row, of_swarm = cast("tuple[TokenRow, TokenRow]", found)
        token = _token(row)
        if token.swarm_id is not None:
            maker = _token(of_swarm)
            if not maker.is_live(now):
                return None
            token = _token(row, within=maker.grant, until=maker.expires_at)
        return token if token.is_live(now) else None

    async def get(self, token_id: UUID) -> Token | None:
        """A token by its id, live or not."""
        async with self._database.session() as session:
            row = await session.get(TokenRow, token_id)
        return None if row is None else _token(row)

    async def list(self, *, swarm_id: UUID | None = None) -> Sequence[Token]:
        """All tokens, or those of one swarm; newest first."""
        wanted = select(TokenRow).order_by(TokenRow.created_at.desc(), TokenRow.id.desc())
        if swarm_id is not None:
            wanted = wanted.where(TokenRow.swarm_id == swarm_id)
        async with self._database.session() as session:
            rows = (await session.execute(wanted)).scalars().all()
        return [_token(row) for row in rows]

    async def revoke(self, token_id: UUID) -> None:
        """Refuse a token from now on; a swarm's with all tokens that it made."""
        async with self._database.session() as session:
            await session.execute(
                update(TokenRow)
                .where(TokenRow.id == token_id, TokenRow.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )


def _token(row: TokenRow, *, within: Grant | None = None, until: datetime | None = None) -> Token:
    ends = [one for one in (row.expires_at, until) if one is not None]
    return Token(
        id=row.id,
        kind=TokenKind(row.kind),
        name=row.name,
        swarm_id=row.swarm_id,
        grant=Grant(
            datasets=tuple(row.datasets),
            operations=frozenset(row.operations),
            limits=msgspec.convert(row.limits, TokenLimits),
            within=within,
        ),
        created_at=row.created_at,
        expires_at=min(ends) if ends else None,
        revoked_at=row.revoked_at,
    )

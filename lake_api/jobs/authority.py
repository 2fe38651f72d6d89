"""Whose a job is at the moment it runs, and what it may then do: maybe less than when it asked.

Belongs here: looking that up. Does not belong here: what grants mean (`lake_api.tokens.grants`).
"""

from lake_api.clock import Clock
from lake_api.errors import Forbidden
from lake_api.identity import Caller, Role
from lake_api.jobs.table import JobRow
from lake_api.tokens.grants import EVERYTHING
from lake_api.tokens.store import Token, TokenStore


async def asker_of(job: JobRow, tokens: TokenStore, *, clock: Clock) -> Caller:
    """Whoever asked for the job, as if it asked now.

    Raises:
        Forbidden: its token, or that of its swarm, is over or was revoked.
    """
    named = owner_of(job)
    if job.token_id is None:
        return named
    token = _live(await tokens.get(job.token_id), clock)
    grant = token.grant
    if token.swarm_id is not None:
        grant = grant.inside(_live(await tokens.get(token.swarm_id), clock).grant)
    return Caller(
        role=named.role,
        name=token.name,
        grant=grant,
        token_id=job.token_id,
        swarm_id=job.swarm_id,
    )


def owner_of(job: JobRow) -> Caller:
    """The same, as far as the job itself tells: without the name and the grant of its token."""
    if job.token_id is not None:
        return Caller(
            role=Role.SWARM if job.token_id == job.swarm_id else Role.AGENT,
            name="",
            token_id=job.token_id,
            swarm_id=job.swarm_id,
        )
    role, _, name = job.owner.partition(":")
    return Caller(role=Role(role), name=name, grant=EVERYTHING)


def _live(token: Token | None, clock: Clock) -> Token:
    if token is None or not token.is_live(clock()):
        raise Forbidden("The token that asked for it is not valid any more.", code="invalid_token")
    return token

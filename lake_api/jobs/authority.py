"""What the owner of a job may read at the moment it runs, which may be less than when it asked.

Belongs here: looking that up. Does not belong here: what grants mean (`lake_api.tokens.grants`).
"""

from lake_api.clock import Clock
from lake_api.errors import Forbidden
from lake_api.jobs.table import JobRow
from lake_api.tokens.grants import EVERYTHING, Grant
from lake_api.tokens.store import Token, TokenStore


async def grant_of(job: JobRow, tokens: TokenStore, *, clock: Clock) -> Grant:
    """The grant of whoever asked for the job.

    Raises:
        Forbidden: its token, or that of its swarm, is over or was revoked.
    """
    if job.token_id is None:
        return EVERYTHING
    token = _live(await tokens.get(job.token_id), clock)
    if token.swarm_id is None:
        return token.grant
    return token.grant.inside(_live(await tokens.get(token.swarm_id), clock).grant)


def _live(token: Token | None, clock: Clock) -> Token:
    if token is None or not token.is_live(clock()):
        raise Forbidden("The token that asked for it is not valid any more.", code="invalid_token")
    return token

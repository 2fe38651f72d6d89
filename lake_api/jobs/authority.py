"""Whose a job is at the moment it runs, and what it may then do: maybe less than when it asked.

Belongs here: looking that up. Does not belong here: what grants mean (`lake_api.tokens.grants`).
"""

from lake_api.errors import Forbidden
from lake_api.identity import Caller, Role, holder_of
from lake_api.jobs.table import JobRow
from lake_api.tokens.grants import EVERYTHING
from lake_api.tokens.store import TokenStore


async def asker_of(job: JobRow, tokens: TokenStore) -> Caller:
    """Whoever asked for the job, as if it asked now.

    Raises:
        Forbidden: its token, or that of its swarm, is over or was revoked.
    """
    if job.token_id is None:
        return owner_of(job)
    token = await tokens.live(job.token_id)
    if token is None:
        raise Forbidden("The token that asked for it is not valid any more.", code="invalid_token")
    return holder_of(token)


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

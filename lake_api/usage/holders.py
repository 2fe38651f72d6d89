"""Whose limits bind a caller: its token's own, and its swarm's.

Belongs here: that, in order. Does not belong here: any counting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from lake_api.identity import Caller
from lake_api.tokens.grants import TokenLimits

Whose = Literal["token", "swarm", "service"]
"""Whose limit something is; a swarm's binds all its agents together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose limits bind a caller: its token's own, then its swarm's."""

    token_id: UUID
    of: Whose
    limits: TokenLimits


def holders(caller: Caller) -> Iterator[Holder]:
    """Whose limits bind a caller; nobody's for one without a token."""
    if caller.token_id is None:
        return
    is_swarm = caller.token_id == caller.swarm_id
    limits = caller.grant.limits
    yield Holder(token_id=caller.token_id, of="swarm" if is_swarm else "token", limits=limits)
    if caller.swarm_id is not None and not is_swarm and caller.grant.within is not None:
        within = caller.grant.within.limits
        yield Holder(token_id=caller.swarm_id, of="swarm", limits=within)

"""Who is asking, and the named guards that routes let them in by.

Belongs here: turning a connection into a `Caller`, and refusing one that is none.
Does not belong here: what tokens are (`tokens`), how often a caller may ask (`query.rate_limit`),
Host and Origin (`web.hosts`), signs of a proxy (`peers`).

An admin shows the key in `X-Internal-API-Key`. The holder of a token shows it as
`Authorization: Bearer lake_…`, and is what the token says. An internal agent is a peer inside the
internal networks whose request no proxy forwarded and who shows no `Authorization` at all; it
names itself in `X-Agent-ID`. Everyone else is refused: behind a proxy every peer looks internal,
so one forwarding header is enough to lose that standing, and a token that can't be read never
makes its holder more than it says. Guards are coroutines even where they wait for nothing:
Litestar would call plain functions in a thread, which costs more than they do.
"""

import hmac
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from uuid import UUID

from litestar.handlers.base import BaseRouteHandler

from lake_api.errors import Forbidden, InvalidRequest, NotAuthenticated
from lake_api.peers import Connection, client_address, is_internal
from lake_api.settings import Settings
from lake_api.tokens.grants import EVERYTHING, NOTHING, Grant
from lake_api.tokens.secret import TokenKind, is_token
from lake_api.tokens.store import Token, TokenStore
from lake_assets.catalog import Dataset

AsyncGuard = Callable[[Connection, BaseRouteHandler], Coroutine[Any, Any, None]]
"""A guard that must be awaited: one that is merely called would let everybody in."""

API_KEY_HEADER = "x-internal-api-key"
TOKEN_HEADER = "authorization"  # noqa: S105 - where a token stands
AGENT_HEADER = "x-agent-id"
CRON_RUN_HEADER = "x-cron-run-id"

_DEFAULT_AGENT = "internal"
_NAME = re.compile(r"[A-Za-z0-9._:@-]{1,128}")


class Role(Enum):
    """What a caller is to the service."""

    ADMIN = "admin"
    SWARM = "swarm"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated caller; `cron_run` is the run that the request belongs to.

    `token_id` is that of the token it showed, and `swarm_id` that of the swarm it belongs to (its
    own, for a swarm); both are None for the admin and for agents by network. `peer` is the address
    that an agent by network is known by.
    """

    role: Role
    name: str
    cron_run: str | None = None
    grant: Grant = EVERYTHING
    token_id: UUID | None = None
    swarm_id: UUID | None = None
    peer: str = ""

    @property
    def share(self) -> str:
        """Whose share of the workers its queries take: its group and itself (`query.turns`)."""
        if self.swarm_id is not None:
            return f"swarm:{self.swarm_id} {self.key}"
        return f"peer:{self.peer} {self.key}" if self.peer else self.key

    @property
    def key(self) -> str:
        """What tells this caller from all others: whose calls, jobs and exports something is."""
        return f"token:{self.token_id}" if self.token_id else f"{self.role.value}:{self.name}"

    def may_read(self, dataset: Dataset) -> bool:
        """Whether the caller may read a dataset, or learn that there is one."""
        return self.grant.may_read(dataset)


def identify(connection: Connection, settings: Settings) -> Caller | None:
    """The caller of a connection, or None when it shows nothing that the service trusts.

    Raises:
        NotAuthenticated: a key is shown and is wrong.
        Forbidden: a key is shown and this service has none.
        InvalidRequest: a name in a header has characters that names may not have.
    """
    key = connection.headers.get(API_KEY_HEADER)
    if key is not None:
        _check_key(key, settings)
        return Caller(
            role=Role.ADMIN,
            name=_name(connection, AGENT_HEADER) or "admin",
            cron_run=_name(connection, CRON_RUN_HEADER),
        )
    if is_internal(connection, settings):
        return Caller(
            role=Role.AGENT,
            name=_name(connection, AGENT_HEADER) or _DEFAULT_AGENT,
            cron_run=_name(connection, CRON_RUN_HEADER),
            peer=client_address(connection, settings),
        )
    return None


async def authenticate(connection: Connection) -> Caller | None:
    """The caller of a connection, by key, token or network; None when it shows nothing.

    Raises:
        NotAuthenticated: a key or token is shown and is not valid.
        Forbidden: a key is shown and this service has none.
        InvalidRequest: a name in a header has characters that names may not have.
    """
    shown = connection.headers.getall(TOKEN_HEADER, [])
    if API_KEY_HEADER in connection.headers or not shown:
        return identify(connection, connection.app.state.settings)
    tokens: TokenStore = connection.app.state.tokens
    text = _bearer(shown)
    token = await tokens.find(text) if is_token(text) else None
    if token is None:
        # One answer for a token that never was, is over, was revoked, or is shown in another way.
        raise NotAuthenticated(
            "The bearer token is not valid.",
            code="invalid_token",
            hint="Send it as Authorization: Bearer, once; or ask whoever gave it to you for a "
            "new one.",
        )
    return replace(holder_of(token), cron_run=_name(connection, CRON_RUN_HEADER))


def holder_of(token: Token) -> Caller:
    """The caller that a live token lets in."""
    role = Role.SWARM if token.kind is TokenKind.SWARM else Role.AGENT
    return Caller(
        role=role,
        name=token.name,
        grant=token.grant,
        token_id=token.id,
        swarm_id=token.id if role is Role.SWARM else token.swarm_id,
    )


def caller_of_key(key: str) -> Caller:
    """Whoever has this `Caller.key`, as far as the key tells: of a token neither name nor grant."""
    kind, _, name = key.partition(":")
    if kind == "token":
        return Caller(role=Role.AGENT, name="", grant=NOTHING, token_id=UUID(name))
    return Caller(role=Role(kind), name=name)


async def current_caller(key: str, tokens: TokenStore) -> Caller | None:
    """Whoever has this `Caller.key`, as if it asked now; None when its token is over."""
    caller = caller_of_key(key)
    if caller.token_id is None:
        return caller
    token = await tokens.live(caller.token_id)
    return None if token is None else holder_of(token)


async def requires_agent(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: anyone whom the service knows: agents by network or token, swarms, the admin."""
    caller = await authenticate(connection)
    if caller is None:
        raise NotAuthenticated(
            "This route is for internal agents and holders of a token.",
            hint="Send Authorization: Bearer with a token, call from an internal network without "
            "a proxy, or send X-Internal-API-Key.",
        )
    connection.scope["user"] = caller


async def requires_insider(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard: the admin or an agent by network; what is told here is about all callers."""
    await requires_agent(connection, handler)
    caller: Caller = connection.scope["user"]
    if caller.token_id is not None:
        raise Forbidden("This route is not for holders of a token.", code="operation_not_allowed")


def requires_operation(operation: str) -> AsyncGuard:
    """A guard, after `requires_agent`: the caller's token allows the operation."""

    async def requires(connection: Connection, _: BaseRouteHandler) -> None:
        caller: Caller = connection.scope["user"]
        if not caller.grant.may(operation):
            raise Forbidden(
                f"This token does not allow `{operation}`.",
                code="operation_not_allowed",
                hint="Ask whoever gave it to you for one that does.",
            )

    return requires


async def requires_admin(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the admin, by key."""
    settings: Settings = connection.app.state.settings
    if not settings.ainative_internal_api_key:
        raise _admin_disabled()
    caller = identify(connection, settings)
    if caller is None or caller.role is not Role.ADMIN:
        raise NotAuthenticated(
            "This route needs the internal API key.",
            hint="Send it in the header X-Internal-API-Key.",
        )
    connection.scope["user"] = caller


def _bearer(shown: Sequence[str]) -> str:
    """The text of the one bearer token that the `Authorization` headers show, or nothing."""
    scheme, _, text = shown[0].strip().partition(" ")
    return text.strip() if len(shown) == 1 and scheme.lower() == "bearer" else ""


def _check_key(key: str, settings: Settings) -> None:
    expected = settings.ainative_internal_api_key
    if not expected:
        raise _admin_disabled()
    if not hmac.compare_digest(key.encode(), expected.encode()):
        raise NotAuthenticated(
            "The key in X-Internal-API-Key is not valid.",
            code="invalid_api_key",
            hint="Send the value that the service was started with in AINATIVE_INTERNAL_API_KEY.",
        )


def _admin_disabled() -> Forbidden:
    return Forbidden(
        "Admin routes are switched off: this service was started without a key.",
        code="admin_disabled",
        hint="Set AINATIVE_INTERNAL_API_KEY and start the service again.",
    )


def _name(connection: Connection, header: str) -> str | None:
    text = connection.headers.get(header)
    if text is None:
        return None
    if not _NAME.fullmatch(text):
        raise bad_name(header)
    return text


def bad_name(header: str) -> InvalidRequest:
    """The error of a header whose name has characters that names may not have."""
    return InvalidRequest(
        f"{header} must be 1 to 128 of the characters A-Z a-z 0-9 . _ : @ -", field=header
    )

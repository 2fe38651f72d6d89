"""`…/lake/tokens`: making, listing and revoking tokens.

Belongs here: the routes, and who may make which token.
Does not belong here: how tokens are kept (`store`).

The admin makes any token and sees all. A swarm makes tokens of agents, with no more than it has
itself, and sees its own. Agents do neither.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body, Parameter, SkipValidation

from lake_api.audit.answering import answer_audited_problem, audited, begin
from lake_api.clock import Clock
from lake_api.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotAuthenticated,
    NotFound,
    ServiceUnavailable,
    UnsupportedMediaType,
)
from lake_api.identity import Caller, Role, authenticate
from lake_api.peers import Connection
from lake_api.query.rate_limit import LIMIT_ERRORS, counts_look
from lake_api.tokens.grants import BadPattern, Grant, checked_patterns
from lake_api.tokens.schemas import (
    MAX_LIFE_S,
    TOKEN_EXAMPLE,
    TOKEN_REQUEST_EXAMPLE,
    NewToken,
    TokenInfo,
    TokenList,
    TokenRequest,
)
from lake_api.tokens.secret import TokenKind
from lake_api.tokens.store import Token, TokenStore
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

_AGENT_LIFE = timedelta(days=90)
_SECURITY: list[dict[str, list[str]]] = [{"InternalApiKey": []}, {"BearerToken": []}]
_ERRORS: dict[int, LakeError] = {
    401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
    403: Forbidden("Only the admin and swarms have tokens.", code="operation_not_allowed"),
    **LIMIT_ERRORS,
    503: ServiceUnavailable(
        "The service's database does not answer.", code="database_unavailable", retry=True
    ),
}
_BAD: dict[int, LakeError] = {
    413: BodyTooLarge("The body has more than 65536 bytes."),
    415: UnsupportedMediaType("The body must be JSON."),
    422: InvalidRequest("`Platform` is no pattern", field="datasets"),
}
_MISSING: dict[int, LakeError] = {404: NotFound("There is no such token.", code="unknown_token")}


async def requires_token_maker(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the admin or a swarm."""
    caller = await authenticate(connection)
    if caller is None:
        raise NotAuthenticated(
            "This route needs the internal API key or a swarm's token.",
            hint="Send X-Internal-API-Key, or Authorization: Bearer with a swarm's token.",
        )
    if caller.role is Role.AGENT:
        raise Forbidden("Only the admin and swarms make tokens.", code="operation_not_allowed")
    connection.scope["user"] = caller


@post(
    "/api/v1/internal/lake/tokens",
    operation_id="create_token",
    summary="Make a token",
    description="The token's text is in this answer only: it is stored hashed.",
    tags=["tokens"],
    guards=[requires_token_maker, counts_look],
    middleware=[audited("create_token")],
    exception_handlers={Exception: answer_audited_problem},
    security=_SECURITY,
    status_code=201,
    responses={
        201: ResponseSpec(
            data_container=NewToken,
            generate_examples=False,
            description="The token, with its text.",
            examples=[Example(value={**TOKEN_EXAMPLE, "token": "lake_agent_…"})],
        ),
        **problem_responses({**_ERRORS, **_BAD}),
    },
)
async def create_token(
    data: Annotated[TokenRequest, Body(examples=[Example(value=TOKEN_REQUEST_EXAMPLE)])],
    request: LakeRequest,
    tokens: NamedDependency[SkipValidation[TokenStore]],
    clock: NamedDependency[SkipValidation[Clock]],
) -> NewToken:
    """Make it, within what the caller has."""
    caller = cast(Caller, request.scope["user"])
    kind = TokenKind(data.kind)
    if kind is TokenKind.SWARM and caller.role is not Role.ADMIN:
        raise Forbidden("Only the admin makes tokens of swarms.", code="operation_not_allowed")
    if beyond := sorted(one for one in data.operations if not caller.grant.may(one)):
        raise Forbidden(
            f"This swarm can't allow `{beyond[0]}`, which it may not do itself.",
            code="operation_not_allowed",
        )
    try:
        patterns = checked_patterns(data.datasets)
    except BadPattern as error:
        raise InvalidRequest(str(error), field="datasets") from error
    expires_at = _end(data, clock())
    await begin(request, "create_token", f"{kind.value}:{data.name}")
    token, text = await tokens.create(
        kind=kind,
        name=data.name,
        grant=Grant(datasets=patterns, operations=frozenset(data.operations), limits=data.limits),
        swarm_id=caller.token_id,
        expires_at=expires_at,
    )
    request.state["audit_subject"] = str(token.id)
    return NewToken(**_fields(token, clock()), token=text)


@get(
    "/api/v1/internal/lake/tokens",
    operation_id="list_tokens",
    summary="List tokens",
    description="All tokens for the admin, its own for a swarm. Texts of tokens are never told.",
    tags=["tokens"],
    guards=[requires_token_maker, counts_look],
    middleware=[audited("list_tokens", is_look=True)],
    exception_handlers={Exception: answer_audited_problem},
    security=_SECURITY,
    responses={
        200: ResponseSpec(
            data_container=TokenList,
            generate_examples=False,
            description="The tokens, newest first.",
            examples=[Example(value={"tokens": [TOKEN_EXAMPLE]})],
        ),
        **problem_responses(_ERRORS),
    },
)
async def list_tokens(
    request: LakeRequest,
    tokens: NamedDependency[SkipValidation[TokenStore]],
    clock: NamedDependency[SkipValidation[Clock]],
) -> TokenList:
    """Those that the caller may see."""
    caller = cast(Caller, request.scope["user"])
    now = clock()
    found = await tokens.list(swarm_id=caller.token_id)
    return TokenList(tokens=tuple(TokenInfo(**_fields(one, now)) for one in found))


@delete(
    "/api/v1/internal/lake/tokens/{token_id:uuid}",
    operation_id="revoke_token",
    summary="Revoke a token",
    description="It is refused from now on; a swarm's with all tokens that it made.",
    tags=["tokens"],
    guards=[requires_token_maker, counts_look],
    middleware=[audited("revoke_token")],
    exception_handlers={Exception: answer_audited_problem},
    security=_SECURITY,
    status_code=200,
    responses={
        200: ResponseSpec(
            data_container=TokenInfo,
            generate_examples=False,
            description="The token, revoked.",
            examples=[Example(value={**TOKEN_EXAMPLE, "state": "revoked"})],
        ),
        **problem_responses({**_ERRORS, **_MISSING}),
    },
)
async def revoke_token(
    token_id: Annotated[UUID, Parameter(description="The token's id.")],
    request: LakeRequest,
    tokens: NamedDependency[SkipValidation[TokenStore]],
    clock: NamedDependency[SkipValidation[Clock]],
) -> TokenInfo:
    """Refuse it from now on."""
    caller = cast(Caller, request.scope["user"])
    token = await tokens.get(token_id)
    # What is not the swarm's does not exist for it; its own token it can't take back.
    if token is None or (caller.token_id is not None and token.swarm_id != caller.token_id):
        raise NotFound("There is no such token.", code="unknown_token")
    await begin(request, "revoke_token", str(token_id))
    await tokens.revoke(token_id)
    revoked = await tokens.get(token_id)
    return TokenInfo(**_fields(revoked or token, clock()))


def _end(data: TokenRequest, now: datetime) -> datetime | None:
    if data.expires_in_s is None:
        return now + _AGENT_LIFE if data.kind == "agent" else None
    if data.kind == "agent" and data.expires_in_s > MAX_LIFE_S:
        raise InvalidRequest(
            f"An agent's token lives at most {MAX_LIFE_S} seconds.", field="expires_in_s"
        )
    try:
        return now + timedelta(seconds=data.expires_in_s)
    except OverflowError:
        raise InvalidRequest("That many seconds lead nowhere.", field="expires_in_s") from None


def _fields(token: Token, now: datetime) -> dict[str, Any]:
    state: Literal["live", "expired", "revoked"] = "live" if token.is_live(now) else "expired"
    return {
        "id": token.id,
        "kind": token.kind.value,
        "name": token.name,
        "swarm_id": token.swarm_id,
        "datasets": token.grant.datasets,
        "operations": tuple(sorted(token.grant.operations)),
        "limits": token.grant.limits,
        "state": "revoked" if token.revoked_at else state,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }

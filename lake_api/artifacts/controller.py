"""`…/lake/artifacts`: keeping files, listing, linking to and removing them.

Belongs here: the routes. Does not belong here: what they do (`service`).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, cast
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat
from litestar.params import Parameter, SkipValidation

from lake_api.artifacts.kinds import UNKNOWN
from lake_api.artifacts.names import clean_name
from lake_api.artifacts.schemas import ARTIFACT_EXAMPLE, LISTED_EXAMPLE, ArtifactInfo, ArtifactList
from lake_api.artifacts.service import ArtifactService, too_large
from lake_api.artifacts.store import NewArtifact
from lake_api.artifacts.table import ArtifactRow
from lake_api.audit.answering import audited, begin, tell
from lake_api.datasets.routes import answer_unavailable
from lake_api.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    InvalidRequest,
    LakeError,
    NotAuthenticated,
    NotFound,
    RateLimited,
)
from lake_api.identity import Caller, requires_agent, requires_operation
from lake_api.jobs.service import disabled
from lake_api.peers import own_url
from lake_api.query.rate_limit import LIMIT_ERRORS, counts_look
from lake_api.settings import Settings
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

ROUTE = "/api/v1/internal/lake/artifacts"
MAX_LIFE_S = 7 * 86_400
"""The bucket's own rule removes what is older."""

_OPTIONS: dict[str, Any] = {
    "tags": ["artifacts"],
    "guards": [requires_agent, requires_operation("artifacts"), counts_look],
    "exception_handlers": {Exception: answer_unavailable},
}
_ERRORS: dict[int, LakeError] = {
    401: NotAuthenticated("The bearer token is not valid.", code="invalid_token"),
    403: Forbidden("This token does not allow `artifacts`.", code="operation_not_allowed"),
    429: LIMIT_ERRORS[429],
    503: disabled("artifacts"),
}
_MISSING: dict[int, LakeError] = {
    404: NotFound("There is no such artifact.", code="unknown_artifact")
}
_KEEP_ERRORS: dict[int, LakeError] = {
    **_ERRORS,
    400: InvalidRequest("The body is empty.", code="empty_artifact", status=400),
    408: InvalidRequest("The file did not arrive within 300 seconds.", code="upload_too_slow"),
    409: Conflict("At most 1,073,741,824 bytes may be kept.", code="artifact_quota"),
    413: BodyTooLarge("An artifact has at most 52,428,800 bytes.", code="artifact_too_large"),
    422: InvalidRequest("Nothing is left of this name.", field="name"),
    429: RateLimited(
        "Too many files are sent at the same time.", code="too_many_uploads", retry_after_s=1
    ),
}
_ArtifactId = Annotated[UUID, Parameter(description="The artifact's id.")]
_Artifacts = NamedDependency[SkipValidation[ArtifactService | None]]


@dataclass
class _KeepOperation(Operation):
    """The operation with its body, which no parameter of the handler stands for."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        self.request_body = RequestBody(
            content={UNKNOWN: OpenAPIMediaType(schema=schema)},
            description="The file's bytes as they are; any Content-Type is taken and ignored.",
            required=True,
        )


def _told(description: str) -> ResponseSpec:
    return ResponseSpec(
        data_container=ArtifactInfo,
        generate_examples=False,
        description=description,
        examples=[Example(value=ARTIFACT_EXAMPLE)],
    )


@post(
    ROUTE,
    operation_id="keep_artifact",
    middleware=[audited("keep_artifact")],
    summary="Keep a file",
    description="The body is the file, up to 50 MB. Its type is told by its bytes; whatever it "
    "is, it is stored and served as bytes to be saved, and never run or shown. `shared` "
    "lets all agents of the caller's swarm see it.",
    operation_class=_KeepOperation,
    # Counted while it is read (`service`): a file may have more bytes than other bodies.
    request_max_body_size=None,
    status_code=201,
    responses={201: _told("The artifact, with a link."), **problem_responses(_KEEP_ERRORS)},
    **_OPTIONS,
)
async def keep_artifact(
    *,
    request: LakeRequest,
    artifacts: _Artifacts,
    name: Annotated[
        str,
        Parameter(
            description="What it is called; folders and unseen characters are taken out.",
            min_length=1,
            max_length=1_000,
        ),
    ],
    shared: Annotated[
        bool, Parameter(description="Whether all agents of the caller's swarm see it.")
    ] = False,
    expires_in_s: Annotated[
        int, Parameter(description="Seconds that it is kept.", ge=60, le=MAX_LIFE_S)
    ] = MAX_LIFE_S,
) -> Response[ArtifactInfo]:
    """Take it as it comes."""
    service, caller = _enabled(artifacts), _caller(request)
    settings: Settings = request.app.state.settings
    if shared and caller.swarm_id is None:
        raise Forbidden("You belong to no swarm to share it with.", code="no_swarm", field="shared")
    cleaned = clean_name(name)
    if cleaned is None:
        raise InvalidRequest("Nothing is left of this name.", field="name")
    announced = request.content_length
    if announced is not None and announced > settings.artifact_bytes:
        raise too_large(settings)
    new = NewArtifact(
        name=cleaned,
        is_shared=shared,
        size_bytes=settings.artifact_bytes if announced is None else announced,
        life=timedelta(seconds=expires_in_s),
    )
    await begin(request, "keep_artifact", cleaned)
    kept = await service.keep(caller, new, _chunks(request))
    tell(request, subject=str(kept.id), answer_bytes=kept.size_bytes)
    info = _info(kept, request)
    return Response(info, status_code=201, headers={"Location": f"{ROUTE}/{kept.id}"})


@get(
    ROUTE,
    operation_id="list_artifacts",
    middleware=[audited("list_artifacts", is_look=True)],
    summary="List artifacts",
    description="The caller's own and what its swarm shares, newest first; for a swarm those of "
    "its agents, for the admin all.",
    responses={
        200: ResponseSpec(
            data_container=ArtifactList,
            generate_examples=False,
            description="A page of artifacts, without links.",
            examples=[Example(value=LISTED_EXAMPLE)],
        ),
        **problem_responses(
            {**_ERRORS, 422: InvalidRequest("page: Expected `int` >= 1", field="page")}
        ),
    },
    **_OPTIONS,
)
async def list_artifacts(
    request: LakeRequest,
    artifacts: _Artifacts,
    page: Annotated[int, Parameter(description="Which page, from 1.", ge=1, le=1_000_000)] = 1,
    page_size: Annotated[int, Parameter(description="How many per page.", ge=1, le=200)] = 50,
) -> ArtifactList:
    """A page of them."""
    rows, total = await _enabled(artifacts).listed(_caller(request), page=page, page_size=page_size)
    return ArtifactList(
        artifacts=tuple(_info(row) for row in rows), page=page, page_size=page_size, total=total
    )


@get(
    f"{ROUTE}/{{artifact_id:uuid}}",
    operation_id="get_artifact",
    middleware=[audited("read_artifact")],
    summary="An artifact, and its link",
    description="The link expires, and is answered with the file as an attachment; it needs no "
    "other credential.",
    responses={200: _told("The artifact, with a link."), **problem_responses(_ERRORS | _MISSING)},
    **_OPTIONS,
)
async def get_artifact(
    artifact_id: _ArtifactId, request: LakeRequest, artifacts: _Artifacts
) -> ArtifactInfo:
    """A fresh link to it."""
    service = _enabled(artifacts)
    tell(request, subject=str(artifact_id))
    row = await service.get(artifact_id, _caller(request))
    tell(request, answer_bytes=row.size_bytes)
    return _info(row, request)


@delete(
    f"{ROUTE}/{{artifact_id:uuid}}",
    operation_id="delete_artifact",
    middleware=[audited("delete_artifact")],
    summary="Remove an artifact",
    description="By its owner or the admin. Its links end with it.",
    status_code=200,
    responses={200: _told("The artifact, as it was."), **problem_responses(_ERRORS | _MISSING)},
    **_OPTIONS,
)
async def delete_artifact(
    artifact_id: _ArtifactId, request: LakeRequest, artifacts: _Artifacts
) -> ArtifactInfo:
    """Gone for everybody."""
    service, caller = _enabled(artifacts), _caller(request)
    tell(request, subject=str(artifact_id))
    row = await service.get(artifact_id, caller)
    await begin(request, "delete_artifact", str(artifact_id))
    await service.discard(row, caller)
    return _info(row)


ARTIFACT_ROUTES = (keep_artifact, list_artifacts, get_artifact, delete_artifact)


async def _chunks(request: LakeRequest) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        InvalidRequest: the caller went away in the middle of it.
    """
    try:
        async for chunk in request.stream():
            yield chunk
    except HTTPException as error:
        raise InvalidRequest(
            "The body ended before it was whole.", code="upload_incomplete", status=400
        ) from error


def _caller(request: LakeRequest) -> Caller:
    return cast(Caller, request.scope["user"])


def _enabled(artifacts: ArtifactService | None) -> ArtifactService:
    if artifacts is None:
        raise disabled("artifacts")
    return artifacts


def _info(row: ArtifactRow, request: LakeRequest | None = None) -> ArtifactInfo:
    """A file as callers see it; with whoever asks, a link as well."""
    url = url_expires_at = None
    if request is not None:
        state = request.app.state
        url, url_expires_at = state.jobs.links.make(
            state.artifacts.file_of(row),
            holder=_caller(request),
            own_url=own_url(request, state.settings),
        )
    return ArtifactInfo(
        id=row.id,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        shared=row.is_shared,
        token_id=row.token_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
        url=url,
        url_expires_at=url_expires_at,
    )

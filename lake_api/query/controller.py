"""`POST /api/v1/internal/lake/query`: guarded SQL in, rows out.

Belongs here: the order of steps of one query call.
Does not belong here: what the SQL may be (`guard`), how it runs (`engine`), what the answer says
(`answers`, `documents`), what is told and recorded of the call (`call_audit`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol, cast

import msgspec
from litestar import MediaType, Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, SkipValidation

from lake_api.audit.answering import Audited
from lake_api.errors import NotAcceptable, QueryUnavailable
from lake_api.identity import Caller, requires_agent, requires_operation
from lake_api.query.answers import plan_answer, rows_answer, unavailable_answer
from lake_api.query.call_audit import note_of_call
from lake_api.query.call_log import QueryCall
from lake_api.query.documentation import DESCRIPTION, RESPONSES, QueryOperation
from lake_api.query.documents import CONTENT_TYPES, MEDIA_TYPES, answer_headers, fill_slots
from lake_api.query.guard import CheckedQuery, Guard
from lake_api.query.messages import Form
from lake_api.query.rate_limit import counts_call
from lake_api.query.results import QueryPreview, QueryResult
from lake_api.query.schemas import MAX_ROWS, REQUEST_EXAMPLE, QueryAnswer, QueryRequest
from lake_api.query.stats import EngineStats
from lake_api.usage.slots import Slots
from lake_api.web.accept import preferred
from lake_api.web.leaving import StopsForLeavers
from lake_api.web.problems import answer_problem
from lake_api.web.requests import LakeRequest

_FORMS = {media_type: form for form, media_type in MEDIA_TYPES.items()}


class QueryRunner(Protocol):
    """What the HTTP side needs of the engine."""

    async def run(
        self,
        checked: CheckedQuery,
        *,
        limit: int,
        timeout_s: float | None = None,
        agent: str = "",
        form: Form = Form.JSON,
    ) -> QueryResult:
        """The rows of a checked query, at most `limit` of them; agents take turns."""
        ...

    async def preview(
        self, checked: CheckedQuery, *, limit: int, timeout_s: float | None = None, agent: str = ""
    ) -> QueryPreview:
        """What `run` would read; refuses what `run` refuses."""
        ...

    async def status(self) -> Mapping[str, bool]:
        """Which of its parts work, by name."""
        ...

    def stats(self) -> EngineStats:
        """How its parts are doing."""
        ...


def answer_query_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Exception handler of the route: the problem, and how the call ended."""
    call: QueryCall = request.state.get("query_call") or QueryCall(caller=request.scope.get("user"))
    request.state["query_call"], request.state["query_id"] = call, call.query_id
    call.fail(error)
    answer = answer_problem(request, error)
    call.answer_bytes = len(answer.content)
    return answer


@post(
    "/api/v1/internal/lake/query",
    operation_id="query_lake",
    summary="Query the lake in SQL",
    description=DESCRIPTION,
    tags=["lake"],
    guards=[requires_agent, requires_operation("query"), counts_call],
    middleware=[Audited(note_of_call, action="query"), StopsForLeavers()],
    status_code=200,
    media_type=MediaType.JSON,
    responses=RESPONSES,
    exception_handlers={Exception: answer_query_problem},
    operation_class=QueryOperation,
)
async def query_lake(
    data: Annotated[
        QueryRequest,
        Body(
            examples=[
                Example(summary="Rows", value=REQUEST_EXAMPLE),
                Example(summary="Dry run", value={**REQUEST_EXAMPLE, "dry_run": True}),
            ]
        ),
    ],
    request: LakeRequest,
    query_guard: NamedDependency[SkipValidation[Guard]],
    engine: NamedDependency[SkipValidation[QueryRunner]],
    slots: NamedDependency[SkipValidation[Slots]],
) -> Response[QueryAnswer]:
    """Check, run and answer one query."""
    caller = cast(Caller, request.scope["user"])
    call = QueryCall(caller=caller, sql=data.sql, dry_run=data.dry_run)
    request.state["query_call"] = call
    call.form = _form(request, data)
    checked = query_guard.check(data.sql, may_read=caller.may_read)
    call.datasets = tuple(dataset.partition for dataset in checked.datasets)
    try:
        async with slots.held(caller):
            body, headers = await _answer(engine, checked, data, call)
    except QueryUnavailable as error:
        if call.form is not Form.JSON:
            error.http_status = 503
            raise
        call.fail(error)
        answer = unavailable_answer(
            checked, error, query_id=call.query_id, elapsed_ms=call.elapsed_ms
        )
        body, headers = msgspec.json.encode(answer), {}
    call.answer_bytes = len(body)
    encoded: Any = body
    return Response(
        encoded,
        headers={**request.state["answer_headers"], "Vary": "Accept", **headers},
        media_type=CONTENT_TYPES[call.form],
    )


async def _answer(
    engine: QueryRunner, checked: CheckedQuery, data: QueryRequest, call: QueryCall
) -> tuple[bytes, dict[str, str]]:
    """The body of the answer, and the headers that belong to its form."""
    limit = MAX_ROWS if checked.has_limit else data.limit
    agent = call.caller.share if call.caller else ""
    told: dict[str, Any] = {"query_id": call.query_id}
    if data.dry_run:
        preview = await engine.preview(checked, limit=limit, agent=agent)
        call.take_preview(preview)
        plan = plan_answer(checked, preview, **told, elapsed_ms=call.elapsed_ms)
        return msgspec.json.encode(plan), {}
    result = await engine.run(checked, limit=limit, agent=agent, form=call.form)
    call.take_result(result)
    told["elapsed_ms"] = call.elapsed_ms
    match call.form:
        case Form.JSON:
            # Encoded here, so that the rows which the worker wrote are copied and never parsed.
            return msgspec.json.encode(rows_answer(checked, result, **told)), {}
        case Form.CSV:
            return result.document, answer_headers(result, **told)
        case Form.ARROW:
            return fill_slots(result.document, **told), answer_headers(result, **told)


def _form(request: LakeRequest, data: QueryRequest) -> Form:
    accept = request.headers.get("accept")
    offered = [MEDIA_TYPES[Form.JSON]] if data.dry_run else list(_FORMS)
    chosen = preferred(accept, offered)
    if chosen is None:
        what = "A dry run is" if data.dry_run else "Rows are"
        raise NotAcceptable(
            f"{what} not answered in a form that the Accept header names.",
            hint=f"Accept one of {', '.join(offered)}.",
            field="accept",
        )
    return _FORMS[chosen]

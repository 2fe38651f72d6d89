"""`GET /metrics`: the service's numbers for Prometheus.

Belongs here: the route and who may read it.
Does not belong here: the metrics themselves (`metrics`).
"""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import SkipValidation

from lake_api.clock import Clock
from lake_api.errors import Forbidden, NotAuthenticated
from lake_api.identity import requires_insider
from lake_api.metrics.metrics import QueryMetrics
from lake_api.metrics.now import measured_now
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest
from lake_assets.catalog import Catalog

_MEDIA_TYPE = "text/plain; version=0.0.4"
"""The framework adds the charset."""

_EXAMPLE = """\
# HELP lake_query_seconds Seconds from taking up a query call to its answer, by how it ended.
# TYPE lake_query_seconds histogram
lake_query_seconds_bucket{le="0.005",outcome="ok"} 118.0
"""


@get(
    "/metrics",
    operation_id="get_metrics",
    summary="Metrics for Prometheus",
    description="Durations by outcome, stage and route, refusals by code, cache, workers, queue, "
    "jobs and exports by state, calls of tools, rows of the audit, age of datasets. For "
    "peers inside the internal networks, or with `X-Internal-API-Key`.",
    tags=["health"],
    guards=[requires_insider],
    responses={
        200: ResponseSpec(
            data_container=str,
            generate_examples=False,
            media_type="text/plain",
            description="Prometheus' text format.",
            examples=[Example(value=_EXAMPLE)],
        ),
        **problem_responses(
            {
                401: NotAuthenticated("This route is for internal agents."),
                403: Forbidden(
                    "This route is not for holders of a token.", code="operation_not_allowed"
                ),
            }
        ),
    },
)
async def get_metrics(
    *,
    metrics: NamedDependency[SkipValidation[QueryMetrics]],
    engine: NamedDependency[SkipValidation[Any]],
    jobs: NamedDependency[SkipValidation[Any]],
    catalog: NamedDependency[SkipValidation[Catalog]],
    clock: NamedDependency[SkipValidation[Clock]],
    request: LakeRequest,
) -> Response[Any]:
    """Everything that is counted, as of now."""
    now = await measured_now(engine, jobs, request.app.state.audit, catalog=catalog, clock=clock)
    return Response(metrics.text(engine.stats(), now), media_type=_MEDIA_TYPE)

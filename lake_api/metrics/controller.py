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
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lake_api.errors import Forbidden, NotAuthenticated
from lake_api.identity import requires_insider
from lake_api.metrics.metrics import QueryMetrics
from lake_api.query.controller import QueryRunner
from lake_api.web.problems import problem_responses

_EXAMPLE = """\
# HELP lake_query_seconds Seconds from taking up a query call to its answer, by how it ended.
# TYPE lake_query_seconds histogram
lake_query_seconds_bucket{le="0.005",outcome="ok"} 118.0
"""


@get(
    "/metrics",
    operation_id="get_metrics",
    summary="Metrics for Prometheus",
    description="Durations by outcome and stage, refusals by code, cache, workers and queue. For "
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
    metrics: NamedDependency[SkipValidation[QueryMetrics]],
    engine: NamedDependency[SkipValidation[QueryRunner]],
) -> Response[Any]:
    """Everything that is counted, as of now."""
    return Response(metrics.text(engine.stats()), media_type=CONTENT_TYPE_PLAIN_0_0_4)

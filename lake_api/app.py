"""`create_app`: the only place where the service's parts meet.

Belongs here: wiring, and what starts and stops with the application.
Does not belong here: any route, any decision.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from lake_api.audit.log import AuditLog
from lake_api.clock import Clock, utc_now
from lake_api.database.database import Database
from lake_api.database.group_writer import GroupWriter
from lake_api.datasets.controller import DATASET_ROUTES, list_datasets
from lake_api.datasets.visible import Visibility
from lake_api.health.controller import get_health, get_readiness
from lake_api.mcp.endpoint import mcp_endpoint, serving_mcp
from lake_api.metrics.controller import get_metrics
from lake_api.metrics.metrics import QueryMetrics
from lake_api.query.controller import QueryRunner, query_lake
from lake_api.query.engine import QueryEngine
from lake_api.query.guard import Guard
from lake_api.query.rate_limit import CallCounter
from lake_api.settings import Settings
from lake_api.tasks.controller import get_task, trigger_task
from lake_api.tasks.dagster import DagsterClient
from lake_api.tokens.controller import create_token, list_tokens, revoke_token
from lake_api.tokens.store import TokenStore
from lake_api.tool.controller import get_tool_definition
from lake_api.usage.controller import get_usage
from lake_api.usage.day_sums import DaySums
from lake_api.usage.slots import Slots
from lake_api.usage.standing import UsageBook
from lake_api.web.docs import docs_router, openapi_config
from lake_api.web.hosts import requires_known_host, requires_own_origin
from lake_api.web.problems import answer_problem
from lake_api.web.requests import LakeRequest
from lake_assets.catalog import Catalog, LakeLocation


def create_app(
    *,
    settings: Settings,
    catalog: Catalog,
    location: LakeLocation | None = None,
    engine: QueryRunner | None = None,
    clock: Clock = utc_now,
    dagster_transport: httpx.AsyncBaseTransport | None = None,
) -> Litestar:
    """The service.

    Args:
        settings: every limit and address.
        catalog: the datasets and tasks that it knows.
        location: the lake, with an identity that may get and list; needed without `engine`.
        engine: runs queries; by default one is started with the application and closed with it.
        clock: the current time in UTC; decides which day is today.
        dagster_transport: replaces the HTTP transport to Dagster.

    Raises:
        ValueError: neither `location` nor `engine` is given.
        SettingsError: a setting names something that this installation does not have.
    """
    if engine is None and location is None:
        raise ValueError("create_app needs a location or an engine")

    @asynccontextmanager
    async def parts(app: Litestar) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if engine is None and location is not None:
                own = await QueryEngine.start(location=location, settings=settings, catalog=catalog)
                stack.push_async_callback(own.close)
                app.state.engine = own
            stack.push_async_callback(call_counter.close)
            database = await Database.open(settings.database_url)
            stack.push_async_callback(database.close)
            app.state.tokens = TokenStore(database, clock=clock)
            writer = await stack.enter_async_context(GroupWriter(settings.database_url))
            app.state.audit = AuditLog(writer, clock=clock, with_sql=settings.log_sql)
            app.state.day_sums = DaySums(database, clock=clock, dialect=writer.dialect)
            app.state.usage_book = UsageBook(
                calls=call_counter, slots=slots, sums=app.state.day_sums, clock=clock
            )
            app.state.dagster = DagsterClient(settings, transport=dagster_transport)
            stack.push_async_callback(app.state.dagster.close)
            await stack.enter_async_context(serving_mcp(app, visibility))
            yield

    guard = Guard(catalog)
    visibility = Visibility(catalog)
    metrics = QueryMetrics()
    call_counter = CallCounter(settings)
    # Twice what a query may take: a slot of a replica that died is free again after that.
    slots = Slots(call_counter.storage, lease_s=2 * settings.query_timeout_s)
    return Litestar(
        route_handlers=[
            query_lake,
            get_tool_definition,
            list_datasets,
            *DATASET_ROUTES,
            trigger_task,
            get_task,
            create_token,
            list_tokens,
            revoke_token,
            get_usage,
            get_health,
            get_readiness,
            get_metrics,
            mcp_endpoint,
            docs_router(),
        ],
        dependencies={
            "catalog": Provide(lambda: catalog, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
            "query_guard": Provide(lambda: guard, sync_to_thread=False),
            "visibility": Provide(lambda: visibility, sync_to_thread=False),
            "engine": Provide(_engine, sync_to_thread=False),
            "tokens": Provide(_tokens, sync_to_thread=False),
            "metrics": Provide(lambda: metrics, sync_to_thread=False),
            "slots": Provide(lambda: slots, sync_to_thread=False),
            "usage_book": Provide(_usage_book, sync_to_thread=False),
            "dagster": Provide(_dagster, sync_to_thread=False),
        },
        guards=[requires_known_host, requires_own_origin],
        exception_handlers={Exception: answer_problem},
        request_class=LakeRequest,
        request_max_body_size=settings.body_bytes,
        state=State(
            {
                "settings": settings,
                "engine": engine,
                "call_counter": call_counter,
                "metrics": metrics,
            }
        ),
        lifespan=[parts],
        openapi_config=openapi_config(),
        # Log lines are formatted where the process starts; the framework leaves them alone.
        logging_config=None,
    )


def _engine(state: State) -> Any:
    return state.engine


def _tokens(state: State) -> Any:
    return state.tokens


def _dagster(state: State) -> Any:
    return state.dagster


def _usage_book(state: State) -> Any:
    return state.usage_book

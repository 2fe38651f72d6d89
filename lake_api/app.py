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

from lake_api.artifacts.controller import ARTIFACT_ROUTES
from lake_api.artifacts.service import serving_artifacts
from lake_api.audit.log import AuditLog
from lake_api.audit.retention import AuditRetention, archive_of, pruning
from lake_api.clock import Clock, utc_now
from lake_api.database.database import Database
from lake_api.database.group_writer import GroupWriter
from lake_api.datasets.controller import DATASET_ROUTES
from lake_api.datasets.discovery import Discovery
from lake_api.datasets.visible import Visibility
from lake_api.exports.controller import EXPORT_ROUTES
from lake_api.files.controller import FILE_ROUTES
from lake_api.files.downloads import downloads_of
from lake_api.health.controller import get_health, get_readiness
from lake_api.jobs.controller import JOB_ROUTES
from lake_api.jobs.costs import JobCosts
from lake_api.jobs.service import serving_jobs
from lake_api.mcp.endpoint import mcp_endpoint, serving_mcp
from lake_api.metrics.controller import get_metrics
from lake_api.metrics.http import CountsAnswers
from lake_api.metrics.metrics import QueryMetrics
from lake_api.operations.commands import CommandOperations
from lake_api.operations.controller import get_operation
from lake_api.operations.jobs import JobOperations
from lake_api.operations.store import OperationStore
from lake_api.operations.tasks import TaskOperations
from lake_api.query.controller import QueryRunner, query_lake
from lake_api.query.documentation import COUNT_HEADERS, DOCUMENT_HEADERS
from lake_api.query.engine import QueryEngine
from lake_api.query.guard import Guard
from lake_api.query.rate_limit import CallCounter
from lake_api.services.commands import Parts
from lake_api.services.controller import get_service_status, list_services, run_service_command
from lake_api.services.runner import CommandRunner
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
from lake_api.web.compression import CompressesAnswers
from lake_api.web.docs import StrictBodies, docs_router, openapi_config
from lake_api.web.hosts import cors_of, requires_known_host, requires_own_origin
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
            app.state.database = database
            writer = await stack.enter_async_context(GroupWriter(settings.database_url))
            app.state.audit = AuditLog(writer, clock=clock, with_sql=settings.log_sql)
            app.state.day_sums = DaySums(database, clock=clock, dialect=writer.dialect)
            app.state.tokens = TokenStore(database, clock=clock)
            app.state.jobs = await stack.enter_async_context(
                serving_jobs(
                    settings=settings,
                    location=location,
                    engine=app.state.engine,
                    guard=guard,
                    catalog=catalog,
                    database=database,
                    tokens=app.state.tokens,
                    costs=JobCosts(app.state.day_sums, app.state.audit),
                    clock=clock,
                )
            )
            app.state.artifacts = await stack.enter_async_context(
                serving_artifacts(
                    jobs=app.state.jobs, database=database, settings=settings, clock=clock
                )
            )
            app.state.downloads = downloads_of(
                jobs=app.state.jobs, artifacts=app.state.artifacts, tokens=app.state.tokens
            )
            app.state.usage_book = UsageBook(
                calls=call_counter, slots=slots, sums=app.state.day_sums, clock=clock
            )
            app.state.dagster = DagsterClient(settings, transport=dagster_transport)
            stack.push_async_callback(app.state.dagster.close)
            kept_operations = OperationStore(database, clock=clock)
            tasks = TaskOperations(catalog, app.state.dagster)
            app.state.command_operations = CommandOperations(kept_operations, tasks)
            jobs = JobOperations(app.state.jobs)
            app.state.operation_sources = (app.state.command_operations, jobs, tasks)
            app.state.command_runner = CommandRunner(kept_operations)
            stack.push_async_callback(app.state.command_runner.close)
            app.state.service_parts = Parts(
                engine=app.state.engine,
                dagster=app.state.dagster,
                catalog=catalog,
                visibility=visibility,
                clock=clock,
            )
            retention = AuditRetention(
                database,
                archive=archive_of(app.state.engine, guard),
                keep_days=settings.audit_days,
                clock=clock,
            )
            await stack.enter_async_context(pruning(retention))
            await stack.enter_async_context(serving_mcp(app, visibility))
            yield

    guard = Guard(catalog)
    visibility = Visibility(catalog)
    metrics = QueryMetrics()
    discovery = Discovery(visibility=visibility, guard=guard, clock=clock)
    call_counter = CallCounter(settings)
    # Twice what a query may take: a slot of a replica that died is free again after that.
    slots = Slots(call_counter.storage, lease_s=2 * settings.query_timeout_s)
    return Litestar(
        route_handlers=[
            query_lake,
            get_tool_definition,
            *DATASET_ROUTES,
            *JOB_ROUTES,
            *EXPORT_ROUTES,
            *ARTIFACT_ROUTES,
            *FILE_ROUTES,
            get_operation,
            list_services,
            get_service_status,
            run_service_command,
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
            "discovery": Provide(lambda: discovery, sync_to_thread=False),
            "engine": Provide(_engine, sync_to_thread=False),
            "tokens": Provide(_tokens, sync_to_thread=False),
            "jobs": Provide(_jobs, sync_to_thread=False),
            "metrics": Provide(lambda: metrics, sync_to_thread=False),
            "slots": Provide(lambda: slots, sync_to_thread=False),
            "usage_book": Provide(_usage_book, sync_to_thread=False),
            "dagster": Provide(_dagster, sync_to_thread=False),
            "artifacts": _from_state("artifacts"),
            "database": _from_state("database"),
            "operation_sources": _from_state("operation_sources"),
            "command_operations": _from_state("command_operations"),
            "command_runner": _from_state("command_runner"),
            "service_parts": _from_state("service_parts"),
        },
        guards=[requires_known_host, requires_own_origin],
        middleware=[CountsAnswers(metrics), CompressesAnswers()],
        cors_config=cors_of(settings, answer_headers=(*COUNT_HEADERS, *DOCUMENT_HEADERS)),
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
        plugins=[StrictBodies()],
        # Log lines are formatted where the process starts; the framework leaves them alone.
        logging_config=None,
    )


def _engine(state: State) -> Any:
    return state.engine


def _tokens(state: State) -> Any:
    return state.tokens


def _jobs(state: State) -> Any:
    return state.jobs


def _dagster(state: State) -> Any:
    return state.dagster


def _usage_book(state: State) -> Any:
    return state.usage_book


def _from_state(name: str) -> Provide:
    """A dependency that is made when the application starts."""

    def value(state: State) -> Any:
        return state[name]

    return Provide(value, sync_to_thread=False)

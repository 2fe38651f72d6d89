"""Every route: who is let in, what is counted, what is recorded. A new one must be added here."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from lake_api.app import create_app
from lake_api.audit.answering import Audited
from lake_api.identity import requires_agent
from lake_api.mcp.endpoint import mcp_endpoint
from lake_api.settings import Settings
from lake_assets.catalog import Catalog
from tests.api.conftest import KEY, ScriptedEngine, database_in
from tests.usage.asking import Asker, bearer

NOBODY = "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"
LOOK, REQUEST, CALL = "counts_look", "counts_request", "counts_call"
Gate = tuple[tuple[str, ...], str | None, str | None]
"""The guards that tell who is let in, the one that counts, and the action that is recorded."""


def agent(counts: str | None, action: str | None, operation: str | None = None) -> Gate:
    allows = () if operation is None else (f"allows {operation}",)
    return ("requires_agent", *allows), counts, action


def admin(action: str) -> Gate:
    """The admin has no limits of requests."""
    return ("requires_admin",), None, action


GATES: dict[str, Gate] = {
    "query_lake": agent(CALL, "query", "query"),
    "sample_dataset": agent(CALL, "query", "query"),
    "profile_dataset": agent(CALL, "query", "query"),
    "list_datasets": agent(REQUEST, "list_datasets", "query"),
    "get_dataset": agent(REQUEST, "describe_dataset", "query"),
    "get_tool_definition": (("requires_key_or_token",), LOOK, "read_tool"),
    "start_job": agent(REQUEST, "start_job", "jobs"),
    "get_job_results": agent(REQUEST, "read_job", "jobs"),
    "list_jobs": agent(LOOK, "list_jobs", "jobs"),
    "get_job": agent(LOOK, "read_job_state", "jobs"),
    "cancel_job": agent(LOOK, "cancel_job", "jobs"),
    "delete_job": agent(LOOK, "delete_job", "jobs"),
    "start_export": agent(REQUEST, "start_export", "exports"),
    "export_job": agent(REQUEST, "start_export", "exports"),
    "list_exports": agent(LOOK, "list_exports", "exports"),
    "get_export": agent(LOOK, "read_export", "exports"),
    "delete_export": agent(LOOK, "delete_export", "exports"),
    "keep_artifact": agent(LOOK, "keep_artifact", "artifacts"),
    "list_artifacts": agent(LOOK, "list_artifacts", "artifacts"),
    "get_artifact": agent(LOOK, "read_artifact", "artifacts"),
    "delete_artifact": agent(LOOK, "delete_artifact", "artifacts"),
    # The link says who asks; ranges of one file are no requests of their own.
    "download_file": (("requires_link",), None, "download_file"),
    "look_at_file": (("requires_link",), None, "download_file"),
    "get_operation": agent(LOOK, "read_operation"),
    "create_token": (("requires_token_maker",), LOOK, "create_token"),
    "list_tokens": (("requires_token_maker",), LOOK, "list_tokens"),
    "revoke_token": (("requires_token_maker",), LOOK, "revoke_token"),
    "list_services": admin("list_services"),
    "get_service_status": admin("read_service"),
    "run_service_command": admin("run_command"),
    "trigger_task": admin("trigger_task"),
    "get_task": admin("read_task"),
    # Whoever has used up its requests may still ask when they come back.
    "get_usage": agent(None, "read_usage"),
    # Of the service as a whole, without tokens, and read every few seconds.
    "get_metrics": (("requires_insider",), None, None),
    # For whoever watches the process; nothing in them is anybody's.
    "get_health": ((), None, None),
    "get_readiness": ((), None, None),
}
PUBLIC = {
    "/docs",
    "/docs/docs.js",
    "/docs/docs.css",
    "/schema",
    "/schema/openapi.json",
    "/schema/{path:str}",
}
"""The documentation, which is the same for everybody."""


@pytest.fixture(scope="module")
def app(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Litestar:
    env = {
        "AINATIVE_INTERNAL_API_KEY": KEY,
        "LAKE_DATABASE_URL": database_in(tmp_path_factory.mktemp("database")),
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
    }
    return create_app(settings=Settings.from_mapping(env), catalog=catalog, engine=ScriptedEngine())


@pytest.fixture(scope="module")
def database(app: Litestar) -> Path:
    return Path(app.state.settings.database_url.removeprefix("sqlite:///"))


@pytest.fixture(scope="module")
def asker(
    app: Litestar, serve: Callable[[Litestar], AbstractContextManager[str]]
) -> Iterator[Asker]:
    with serve(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield Asker(client)


def handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Path, method and handler of every route, but those that answer what is allowed."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in sorted(handler.http_methods - {"OPTIONS"}):
                    yield route.path, method, handler


def gate_of(handler: HTTPRouteHandler) -> Gate:
    names = [named(guard) for guard in handler.guards or ()]
    counting = [one for one in names if one.startswith("counts_")]
    actions = [one.action for one in handler.middleware or () if isinstance(one, Audited)]
    [counts] = counting or [None]
    [action] = actions or [None]
    # Whoever is asked for must be known before it is counted.
    assert names == [one for one in names if one not in counting] + counting
    return tuple(one for one in names if one not in counting), counts, action


def named(guard: Any) -> str:
    if guard.__qualname__ == "requires_operation.<locals>.requires":
        return f"allows {guard.__closure__[0].cell_contents}"
    return guard.__name__


def test_every_route_has_the_gates_that_it_should_have(app: Litestar) -> None:
    found: dict[str, set[Gate]] = {}
    for path, _, handler in handlers(app):
        if path not in PUBLIC:
            # Longer paths of one operation have no id of their own.
            name = str(handler.operation_id or handler.fn.__name__)
            found.setdefault(name, set()).add(gate_of(handler))
    assert {name: {gate} for name, gate in GATES.items()} == found
    # Tools and resources ask routes of this table; the message itself only says who asks.
    others = [route for route in app.routes if not isinstance(route, HTTPRoute)]
    assert [route.path for route in others] == ["/mcp"]
    assert mcp_endpoint.guards == [requires_agent]


def test_every_counted_route_refuses_a_token_without_requests_and_says_so_in_the_table(
    app: Litestar, asker: Asker, database: Path, problem: Any
) -> None:
    everything = ["query", "jobs", "exports", "artifacts", "trigger"]
    limits = {"requests_per_hour": 0}
    swarm = asker.make(kind="swarm", name="org", operations=everything, limits=limits)["token"]
    tried: dict[str, str] = {}
    for path, method, handler in handlers(app):
        name = handler.operation_id
        if name is None or GATES.get(str(name), ((), None, None))[1] is None:
            continue
        address = path
        for parameter in handler_parameters(path):
            kind = parameter.rpartition(":")[2]
            address = address.replace(f"{{{parameter}}}", NOBODY if kind == "uuid" else "none")
        body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = asker.client.request(method, address, headers=bearer(swarm), **body)
        problem(answer, 429, "rate_limited")
        assert int(answer.headers["Retry-After"]) >= 1, name
        tried[str(name)] = GATES[str(name)][2] or ""
    assert set(tried) == {name for name, (_, counts, _) in GATES.items() if counts is not None}
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT action FROM audit WHERE caller = 'org' AND code = 'rate_limited'"
        ).fetchall()
    assert {action for (action,) in rows} == set(tried.values())


def test_a_look_again_and_again_does_not_fill_the_table(asker: Asker, database: Path) -> None:
    token = asker.make(name="impatient")["token"]
    path = f"/api/v1/internal/lake/operations/{NOBODY}"
    for _ in range(140):
        assert asker.client.get(path, headers=bearer(token)).status_code == 404
    with closing(sqlite3.connect(database)) as connection:
        [(count,)] = connection.execute(
            "SELECT count(*) FROM audit WHERE caller = 'impatient'"
        ).fetchall()
    # Sixty a minute, of which two may have begun.
    assert 60 <= count <= 120


def handler_parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]

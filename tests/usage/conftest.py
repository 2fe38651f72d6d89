"""The service of the HTTP tests, and services of a test's own."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from lake_api.app import create_app
from lake_api.settings import Settings
from lake_assets.catalog import Catalog
from tests.api.conftest import (
    KEY,
    NOW,
    ScriptedEngine,
    catalog,
    database_in,
    open_service,
    problem,
    serve,
    service,
    shared_service,
    start_service,
)
from tests.usage.asking import Asker

__all__ = [
    "catalog",
    "open_service",
    "problem",
    "serve",
    "service",
    "shared_service",
    "start_service",
]


@pytest.fixture
def asker(service: Any) -> Asker:
    return Asker(service.client)


@pytest.fixture
def own_service(
    catalog: Catalog,
    tmp_path: Path,
    serve: Callable[[Litestar], AbstractContextManager[str]],
) -> Callable[..., AbstractContextManager[str]]:
    """A service over one database, with a clock and an engine of the test's own."""

    def opened(
        *, engine: Any = None, clock: Any = lambda: NOW, **env: str
    ) -> AbstractContextManager[str]:
        settings = Settings.from_mapping(
            {
                "AINATIVE_INTERNAL_API_KEY": KEY,
                "LAKE_DATABASE_URL": database_in(tmp_path),
                "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
                **env,
            }
        )
        engine = engine or ScriptedEngine()
        return serve(create_app(settings=settings, catalog=catalog, engine=engine, clock=clock))

    return opened

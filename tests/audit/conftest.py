"""The service of the HTTP tests, and services whose audit table a test may read and break."""

from tests.api.conftest import (
    catalog,
    open_service,
    problem,
    serve,
    service,
    shared_service,
    start_service,
)
from tests.usage.conftest import own_service

__all__ = [
    "catalog",
    "open_service",
    "own_service",
    "problem",
    "serve",
    "service",
    "shared_service",
    "start_service",
]

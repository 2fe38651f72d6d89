"""Every outside source the whole way: fake upstream → Dagster run → Parquet → SQL over HTTP."""

import re
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import httpx
import pyarrow.parquet as pq
import pytest

from lake_api.app import create_app
from lake_api.settings import Settings
from lake_assets.catalog import Catalog, Dataset, ExternalSource, Kind, data_key, load_catalog
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.partitions import partitions_of
from lake_assets.sources.config import UPSTREAMS
from lake_assets.storage.bucket import ensure_bucket
from lake_assets.storage.store import LakeStore
from tests.api.conftest import database_in, serving
from tests.conftest import boto3_client, remove_bucket, settings_of
from tests.fakes.__main__ import FAKES
from tests.fakes.base import TODAY, Fake, Reply, Request
from tests.sources.leaks import CARD, is_card

EXTERNAL = [dataset for dataset in load_catalog() if dataset.kind is Kind.EXTERNAL]
NOW = datetime(TODAY.year, TODAY.month, TODAY.day, 23, 30, tzinfo=UTC)
WINDOW_D = 4
ADDRESS = re.compile(r"[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
WITH_PEOPLE = {"chatwoot", "stripe", "email", "dealroom", "slack", "luma", "github", "sec", "kong"}
"""Sources whose real answers are full of people."""
OURS = {("external/email", "from_email")}
"""Columns that hold an address which is nobody's but ours."""
ACCESSION = re.compile(r"\b\d{10}-\d{2}-\d{6}\b|/data/\d+/\d{18}\b")
"""How EDGAR numbers filings and their folders; one in ten adds up like a card."""


@dataclass
class Walked:
    """What one collection of everything left behind."""

    materialized: Mapping[str, Sequence[date]]
    observed: Mapping[str, Sequence[date]]
    failures: Sequence[str]
    answers: Mapping[str, Sequence[bytes]]
    store: LakeStore
    http: httpx.Client

    def tables(self, dataset: Dataset) -> Mapping[date, Any]:
        found = {}
        for day in self.store.days(dataset):
            with self.store.open(data_key(dataset, day)) as file:
                found[day] = pq.read_table(file)
        return found

    def ask(self, sql: str) -> Sequence[Sequence[Any]]:
        answer = self.http.post("/api/v1/internal/lake/query", json={"sql": sql, "limit": 1000})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["source"] == "lake", body
        return body["rows"]


def days_of(dataset: Dataset) -> tuple[date, date]:
    """A backfill that ends with the newest day that the dataset's schedule would write."""
    newest = dataset.schedule.days(TODAY)[-1]
    return newest - timedelta(days=WINDOW_D), newest


@pytest.fixture(scope="module")
def walked(s3, tmp_path_factory) -> Iterator[Walked]:
    location = replace(s3.writer, bucket=f"test-{uuid.uuid4().hex[:12]}")
    ensure_bucket(boto3_client(location), location.bucket)
    answers: dict[str, list[bytes]] = defaultdict(list)
    with ExitStack() as stack:
        stack.callback(remove_bucket, location)
        env = settings_of(location) | {"LAKE_HTTP_ATTEMPTS": "2"}
        for kind in FAKES:
            fake = recording(kind(TODAY).start(), answers)
            stack.callback(fake.stop)
            env |= fake.env
        instance = stack.enter_context(
            dg.DagsterInstance.ephemeral(tempdir=str(tmp_path_factory.mktemp("dagster")))
        )
        defs = build_defs(catalog=Catalog(EXTERNAL), env=env, clock=lambda: NOW)
        runs = [run for group in together() for run in collect(defs, instance, group)]
        settings = Settings.from_mapping(
            {
                "LAKE_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
                "LAKE_DATABASE_URL": database_in(tmp_path_factory.mktemp("database")),
                "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
                "LAKE_CALLS_PER_MINUTE": "100000",
            }
        )
        app = create_app(settings=settings, catalog=load_catalog(), location=location)
        url = stack.enter_context(serving(app))
        yield Walked(
            materialized=by_dataset(
                event.materialization
                for run in runs
                for event in run.get_asset_materialization_events()
            ),
            observed=by_dataset(
                event.asset_observation_data.asset_observation
                for run in runs
                for event in run.get_asset_observation_events()
            ),
            failures=[
                f"{event.step_key}: {event.step_failure_data.error_display_string.splitlines()[0]}"
                for run in runs
                for event in run.all_events
                if event.is_step_failure
            ],
            answers=answers,
            store=LakeStore(location),
            http=stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60)),
        )


def source_of(fake: Fake) -> str:
    """The upstream that a fake stands in for."""
    (name,) = (
        upstream.name
        for upstream in UPSTREAMS
        if any(s.name.endswith("_BASE_URL") and s.name in fake.env for s in upstream.settings)
    )
    return name


def recording(fake: Fake, answers: dict[str, list[bytes]]) -> Fake:
    """The started fake, whose answers are kept for tests to look at."""
    truth, source = fake.answer, source_of(fake)

    def answer(request: Request) -> Reply:
        reply = truth(request)
        answers[source].append(reply.body)
        return reply

    fake.answer = answer
    return fake


def together() -> Sequence[Sequence[Dataset]]:
    """Datasets that one run can write: with the same partitions, and the same newest day."""
    groups: dict[object, list[Dataset]] = defaultdict(list)
    for dataset in EXTERNAL:
        groups[partitions_of(dataset), days_of(dataset)].append(dataset)
    return list(groups.values())


def collect(defs, instance, group: Sequence[Dataset]) -> Iterator[dg.ExecuteInProcessResult]:
    """Some days as one backfill, then the newest day once more, alone."""
    job = defs.resolve_implicit_global_asset_job_def()
    first, last = days_of(group[0])
    ends = {
        "dagster/asset_partition_range_start": f"{first}",
        "dagster/asset_partition_range_end": f"{last}",
    }
    for how in ({"tags": ends}, {"partition_key": f"{last}"}):
        yield job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(dataset.asset_key) for dataset in group],
            raise_on_error=False,
            **how,
        )


def by_dataset(events) -> Mapping[str, Sequence[date]]:
    found: dict[str, list[date]] = defaultdict(list)
    for event in events:
        found["/".join(event.asset_key.path)].append(date.fromisoformat(event.partition))
    return found


def test_every_external_dataset_has_a_collector_and_every_source_a_fake(walked):
    built = [each.partition for each in EXTERNAL if isinstance(each.source, ExternalSource)]
    assert built == [each.partition for each in EXTERNAL if each.source.collect]
    assert len(built) >= 20
    assert set(walked.answers) == {upstream.name for upstream in UPSTREAMS}


def test_no_run_failed(walked):
    assert walked.failures == []


@pytest.mark.parametrize("dataset", EXTERNAL, ids=lambda each: each.partition)
def test_a_source_reaches_sql_over_http_with_every_row(walked, dataset):
    stored = {day: table.num_rows for day, table in walked.tables(dataset).items()}
    first, _ = days_of(dataset)

    # What Dagster shows as written is in the lake, and nothing else is.
    assert set(walked.materialized[dataset.partition]) == set(stored)
    left_out = set(walked.observed.get(dataset.partition, ()))
    assert set(stored) | left_out == {first + timedelta(days=i) for i in range(WINDOW_D + 1)}
    assert not set(stored) & left_out
    assert sum(stored.values()) > 0

    counted = walked.ask(
        f"SELECT date, count(*) AS n FROM {dataset.sql_name} GROUP BY date ORDER BY date"
    )
    assert dict(map(tuple, counted)) == {f"{day}": n for day, n in stored.items() if n}
    assert walked.ask(f"SELECT * FROM {dataset.sql_name}")


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("external_scc_sec_filings", "accepted_at, accepted_at_source"),
        ("external_scc_sec_form_d", "is_amendment, previous_accession_number"),
        ("external_scc_sec_xbrl", "value, value_exact"),
    ],
)
def test_columns_that_say_what_is_exact_and_what_is_in_doubt_have_values(walked, table, columns):
    """Read as a caller reads them: over HTTP, with the values of the stored objects."""
    dataset = next(each for each in EXTERNAL if each.sql_name == table)
    names = columns.split(", ")
    answered = walked.ask(f"SELECT {columns} FROM {table}")
    has_value = [row for row in answered if all(value is not None for value in row)]
    assert has_value
    stored = [
        row[names[1]]
        for one in walked.tables(dataset).values()
        for row in one.select(names).to_pylist()
    ]
    assert sorted(row[1] or "" for row in answered) == sorted(value or "" for value in stored)


def texts(walked: Walked, dataset: Dataset) -> Iterator[tuple[str, str]]:
    for table in walked.tables(dataset).values():
        for name in table.column_names:
            for value in table.column(name).to_pylist():
                if isinstance(value, str):
                    yield name, value


def cards_in(text: str) -> Sequence[str]:
    return [number for number in CARD.findall(ACCESSION.sub("", text)) if is_card(number)]


@pytest.mark.parametrize("dataset", EXTERNAL, ids=lambda each: each.partition)
def test_nobody_is_in_what_is_stored(walked, dataset):
    found = [
        (name, find)
        for name, value in texts(walked, dataset)
        if (dataset.partition, name) not in OURS
        for find in (*ADDRESS.findall(value), *cards_in(value))
    ]
    assert found == []


@pytest.mark.parametrize("source", sorted(WITH_PEOPLE))
def test_somebody_is_in_what_the_fakes_say(walked, source):
    assert any(ADDRESS.search(body.decode("utf-8", "replace")) for body in walked.answers[source])


def test_a_card_is_in_what_the_fakes_say(walked):
    for source in ("chatwoot", "stripe"):
        assert any(cards_in(body.decode("utf-8", "replace")) for body in walked.answers[source])

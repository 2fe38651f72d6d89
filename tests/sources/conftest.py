"""The way of a collector under test: fake upstream → asset run → objects in a real bucket."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from lake_api.stack.s3 import S3Server
from lake_assets.catalog import Catalog, LakeLocation, data_key, load_catalog
from lake_assets.orchestration import collect
from lake_assets.orchestration.build import build_defs
from lake_assets.sources.client import http_source
from lake_assets.sources.config import Upstream
from lake_assets.sources.http import HttpSource
from lake_assets.storage.bucket import ensure_bucket
from lake_assets.storage.store import LakeStore
from tests.conftest import boto3_client, empty_bucket, remove_bucket, settings_of
from tests.fakes.base import TODAY, Fake


@dataclass
class Waiting:
    """Time that passes at once where a client waits for its turn or for another attempt."""

    ahead_s: float = 0

    def sleep(self, seconds: float) -> None:
        self.ahead_s += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def http_source(self, upstream: Upstream, env: Mapping[str, str]) -> HttpSource:
        http = http_source(upstream, env)
        http.sleep, http.monotonic = self.sleep, self.monotonic
        return http


@dataclass(kw_only=True)
class Collecting:
    """One external dataset, its fake, and a bucket.

    `env` may be changed between runs; `waited` knows how long they would have waited for the fake.
    """

    partition: str
    fake: Fake
    location: LakeLocation
    instance: dg.DagsterInstance
    env: dict[str, str]
    now: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)
    waited: Waiting

    @cached_property
    def job(self) -> dg.JobDefinition:
        """What materializes the dataset; it looks at `env` and `now` when it runs."""
        catalog = Catalog([load_catalog()[self.partition]])
        defs = build_defs(catalog=catalog, env=self.env, clock=lambda: self.now)
        return defs.resolve_implicit_global_asset_job_def()

    def run(self, first: date = TODAY, last: date | None = None, **tags: str):
        """One run over the days, as the UI starts it."""
        ends = {
            "dagster/asset_partition_range_start": f"{first}",
            "dagster/asset_partition_range_end": f"{last}",
        }
        return self.job.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            tags=tags | (ends if last else {}),
            partition_key=None if last else f"{first}",
        )

    def rows(self, day: date = TODAY) -> Sequence[Mapping[str, Any]]:
        """The stored rows of a day."""
        with self.store.open(data_key(load_catalog()[self.partition], day)) as file:
            return pq.read_table(file).to_pylist()

    def forget(self) -> None:
        """Empty the lake, so that the next run is a first one again."""
        empty_bucket(self.location)

    @property
    def days(self) -> Sequence[date]:
        """The days that have an object."""
        return self.store.days(load_catalog()[self.partition])

    @cached_property
    def store(self) -> LakeStore:
        return LakeStore(self.location)

    def texts(self, result) -> str:
        """Everything that a run left for people to read: events, messages, logs."""
        return "\n".join(str(record) for record in self.instance.all_logs(result.run_id))


def failure(result) -> str:
    """What a person reads first."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.error_display_string.splitlines()[0]


def metadata(result) -> Mapping[str, Mapping[str, Any]]:
    """What each materialized day says about itself."""
    return {
        event.materialization.partition: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def observed(result) -> Mapping[str, str]:
    """The sentences of days that were not materialized."""
    return {
        event.asset_observation_data.asset_observation.partition: (
            event.asset_observation_data.asset_observation.description
        )
        for event in result.get_asset_observation_events()
    }


@pytest.fixture(scope="session")
def one_bucket(s3: S3Server) -> Iterator[LakeLocation]:
    location = replace(s3.writer, bucket="test-sources")
    ensure_bucket(boto3_client(location), location.bucket)
    yield location
    remove_bucket(location)


@pytest.fixture
def bucket(one_bucket: LakeLocation) -> Iterator[LakeLocation]:
    """One bucket for all tests, emptied after each: another is made of five requests."""
    yield one_bucket
    empty_bucket(one_bucket)


@pytest.fixture(scope="session")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """One Dagster for all tests: its databases take longer to make than most runs."""
    folder = tmp_path_factory.mktemp("dagster")
    with dg.DagsterInstance.ephemeral(tempdir=str(folder)) as instance:
        yield instance


@pytest.fixture
def collecting(bucket, instance, monkeypatch) -> Iterator[Callable[[str, Fake], Collecting]]:
    """Starts a fake and gives its dataset an empty lake; nothing waits for the clock."""
    waited = Waiting()
    monkeypatch.setattr(collect, "http_source", waited.http_source)
    with ExitStack() as stack:

        def start(partition: str, fake: Fake) -> Collecting:
            stack.callback(fake.stop)
            fake.start()
            env = settings_of(bucket) | dict(fake.env) | {"LAKE_HTTP_ATTEMPTS": "3"}
            instance.wipe_assets([dg.AssetKey(partition.split("/"))])
            return Collecting(
                partition=partition,
                fake=fake,
                location=bucket,
                instance=instance,
                env=env,
                waited=waited,
            )

        yield start

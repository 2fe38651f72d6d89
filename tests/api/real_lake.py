"""The service with its own engine over a bucket of a real S3, and a writer of days."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import obstore
import pyarrow as pa

from lake_api.query.reader_store import open_small
from lake_assets.catalog import Catalog, LakeLocation, dataset_prefix
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter


@dataclass(frozen=True, kw_only=True)
class RealLake:
    """One service, its bucket and its cache."""

    client: httpx.Client
    bucket: LakeLocation
    catalog: Catalog
    cache: Path

    def write(self, partition: str, day: date, agents: Sequence[str], **values: Any) -> None:
        """Write a day with one run of each agent; `values` replace columns in every row."""
        dataset = self.catalog[partition]
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        rows = [
            {
                "run_id": f"{day}-{place}",
                "agent_id": agent,
                "status": "succeeded",
                "cost_usd": Decimal("0.100000"),
                "metadata": '{"k": 1}',
                "created_at": at,
                "updated_at": at,
                **values,
            }
            for place, agent in enumerate(agents)
        ]
        store = LakeStore(self.bucket)
        batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(dataset))
        writer = PartitionWriter(store, run_id="run-1", code_version="1", allow_shrink=True)
        writer.write(dataset, day, [batch])
        store.bump_version(dataset, [day])

    def ask(self, sql: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        return self.client.post(
            "/api/v1/internal/lake/query", json={"sql": sql, **more}, headers=headers
        )

    def object_sizes(self, partition: str) -> dict[str, int]:
        """The bytes of each stored day of a dataset."""
        listed = obstore.list(open_small(self.bucket), dataset_prefix(self.catalog[partition]))
        return {
            item["path"]: item["size"]
            for item in listed.collect()
            if item["path"].endswith(".parquet")
        }

    def export_keys(self) -> list[str]:
        """The keys of all objects below `exports/`."""
        listed = obstore.list(open_small(self.bucket), "exports/")
        return [item["path"] for item in listed.collect()]

    def cached_files(self) -> list[Path]:
        return sorted(self.cache.rglob("*.parquet"))

    def poll(self, found: Callable[[], bool], *, deadline_s: float = 5) -> None:
        """Wait for what a write changes: the next look at the version token shows it."""
        end = time.monotonic() + deadline_s
        while not found():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)

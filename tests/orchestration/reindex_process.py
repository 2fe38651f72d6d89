"""A reindex that ends by SIGKILL after so many recorded days: what a test runs as a process."""

import os
import signal
import sys
from datetime import UTC, datetime

import dagster as dg

from lake_assets.catalog import LakeLocation
from lake_assets.orchestration import reindex as reindexing
from lake_assets.storage.store import LakeStore
from tests.orchestration.derived_lake import catalog


def main(days_left: int) -> None:
    """Record days of the bucket that the environment names; 0 for all of them."""
    record = reindexing._record

    def counted(*args) -> None:
        nonlocal days_left
        record(*args)
        days_left -= 1
        if not days_left:
            os.kill(os.getpid(), signal.SIGKILL)

    reindexing._record = counted
    store = LakeStore(LakeLocation.from_mapping(os.environ))
    with dg.DagsterInstance.get() as instance:
        today = datetime.now(tz=UTC).date()
        for _ in reindexing.reindex(instance, catalog(), store, today=today):
            pass


if __name__ == "__main__":
    main(int(sys.argv[1]))

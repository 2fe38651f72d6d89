"""A backfill in a process of its own, as Dagster starts runs: `python -m … PARTITION FIRST LAST`.

It says `ready` when it could begin, begins when a line comes, and ends with 0 after a success. It
uses the environment and an instance of its own, so no pool keeps it apart from others.
"""

import os
import sys

import dagster as dg

from lake_assets.catalog import Catalog, load_catalog
from lake_assets.orchestration.build import build_defs


def main() -> None:
    partition, first, last = sys.argv[1:]
    defs = build_defs(catalog=Catalog([load_catalog()[partition]]), env=dict(os.environ))
    with dg.DagsterInstance.ephemeral() as instance:
        print("ready", flush=True)  # noqa: T201 - what the starter waits for
        sys.stdin.readline()
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last,
            },
        )
    sys.exit(0 if result.success else 1)


if __name__ == "__main__":
    main()

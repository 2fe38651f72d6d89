"""The service's own process, with the measured catalogue in the place of the real one.

Belongs here: that one exchange. Everything else is `python -m lake_api.serve`.
"""

import sys
from unittest import mock

import lake_api.serve
from benchmarks.query.lake import bench_catalog

if __name__ == "__main__":
    with mock.patch.object(lake_api.serve, "load_catalog", bench_catalog):
        sys.exit(lake_api.serve.main())

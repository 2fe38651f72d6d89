"""The service as a process over a real S3, for clients that know nothing of Python."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as dt_time
from pathlib import Path
from typing import Any

import httpx

from lake_assets.catalog import LakeLocation, load_catalog
from tests.api.conftest import ADMIN, KEY
from tests.api.real_lake import RealLake
from tests.conftest import settings_of

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@dataclass(frozen=True)
class ServiceProcess:
    url: str

    def mint(self, *datasets: str, **more: Any) -> str:
        """The text of a new token of an agent."""
        wanted = {"kind": "agent", "name": "tester", "datasets": datasets or ["*"], **more}
        answer = httpx.post(
            f"{self.url}/api/v1/internal/lake/tokens", json=wanted, headers=ADMIN, trust_env=False
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]


@contextmanager
def service_process(bucket: LakeLocation, folder: Path) -> Iterator[ServiceProcess]:
    """The service until the block ends, with one day of one dataset in its bucket."""
    with httpx.Client() as client:
        lake = RealLake(client=client, bucket=bucket, catalog=load_catalog(), cache=folder)
        started_at = datetime.combine(YESTERDAY, dt_time(12), tzinfo=UTC)
        lake.write(
            "agent_run_log", YESTERDAY, ["aurora", "sage"],
            trigger_type="manual", started_at=started_at,
        )  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        **settings_of(bucket),
        "AINATIVE_INTERNAL_API_KEY": KEY,
        "LAKE_EXPORT_ACCESS_KEY": bucket.access_key,
        "LAKE_EXPORT_SECRET_KEY": bucket.secret_key,
        "LAKE_CACHE_DIR": str(folder / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{folder}/service.db",
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
    }
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lake_api.serve", "--port", str(port)],
            env=env, stdout=log, stderr=log,
        )  # fmt: skip
    service = ServiceProcess(url=f"http://127.0.0.1:{port}")
    try:
        _wait(service.url, process, folder / "service.log")
        yield service
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code in {200, 503}:
                return
        except httpx.TransportError:
            assert time.monotonic() < end, "the service did not start"
        time.sleep(0.05)
    raise AssertionError(f"the service ended: {log.read_text()[-2000:]}")

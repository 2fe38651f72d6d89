"""What the OpenAPI document says holds: schemathesis sends what it allows, and what it does not.

No answer is a 5xx, and none has a status, a type, a header or a shape that the document lacks,
for the admin, for the holder of a token, for an agent by network, and for nobody known.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lake_api.stack.s3 import S3Server
from lake_assets.catalog import Catalog, event
from tests.api.conftest import ADMIN, COLUMNS, StubDagster, serving
from tests.api.test_http_tasks import NOT_FOUND, launched_run

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
EXAMPLES = 3
SEED = 20261122
TIMEOUT_S = 100
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}
READY = {"repositoryOrError": {"__typename": "Repository"}}


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[Any]:
    """A whole service, over a stand-in of Dagster that takes everything and knows no run.

    It has the dataset of the document's examples, so that these are answered with rows.
    """
    examples = event(
        "example/runs",
        "Runs of agents",
        group="Examples",
        table="example_runs",
        tasks="lake.export_example_runs",
        columns=COLUMNS,
    )
    dagster = StubDagster()
    dagster.say("LaunchRun", launched_run)
    dagster.say(
        "LaunchBackfill",
        {
            "launchPartitionBackfill": {
                "__typename": "LaunchBackfillSuccess",
                "backfillId": "qwertyui",
            }
        },
    )
    dagster.say("TaskState", NOT_FOUND)
    dagster.say("Readiness", READY)
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
    }
    with (
        serving(dagster.app()) as url,
        open_lake(catalog=Catalog([examples]), LAKE_DAGSTER_URL=url, **keys) as lake,
    ):
        lake.write("example/runs", date(2026, 11, 21), ["a", "b"])
        yield lake


@pytest.fixture(scope="module")
def identities(lake: Any) -> dict[str, dict[str, str]]:
    made = lake.client.post(
        "/api/v1/internal/lake/tokens",
        json={"kind": "agent", "name": "aurora", "datasets": ["example/runs"]},
        headers=ADMIN,
    )
    return {
        "admin": ADMIN,
        "token": {**OUTSIDE, "Authorization": f"Bearer {made.json()['token']}"},
        "network": {},
        "nobody": OUTSIDE,
    }


@pytest.mark.timeout(TIMEOUT_S + 30)
@pytest.mark.parametrize(
    ("identity", "phases"),
    [
        ("admin", "examples,coverage,fuzzing"),
        ("token", "coverage"),
        ("network", "fuzzing"),
        ("nobody", "fuzzing"),
    ],
)
def test_the_document_holds(lake: Any, identities: Any, identity: str, phases: str, tmp_path: Path):
    headers = [f"{name}: {value}" for name, value in identities[identity].items()]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run"),
            f"{lake.client.base_url}/schema/openapi.json",
            *(part for header in headers for part in ("--header", header)),
            f"--checks={','.join(CHECKS)}",
            f"--phases={phases}",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            "--generation-database=none",
            "--suppress-health-check=all",
            "--warnings=off",
            "--output-truncate=false",
            "--no-color",
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    paths = lake.client.get("/schema/openapi.json").json()["paths"]
    count = sum(len(methods) for methods in paths.values())
    assert f"Tested: {count}\n" in ran.stdout
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]

"""`lake reindex`: from a bucket and a Dagster directory without a history to one that has it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from lake_api.stack.state import StackState, project_root, write_state
from lake_assets.catalog import LakeLocation, data_key, load_catalog
from lake_assets.storage.store import LakeStore
from tests.cli.conftest import lake
from tests.conftest import settings_of

RUNS = "agent_run_log"
YESTERDAY = datetime.now(tz=UTC).date() - timedelta(days=1)


@pytest.fixture
def dagster_dir(home: Path, running: StackState, bucket: LakeLocation, tmp_path: Path) -> Path:
    """A running stack whose Dagster knows nothing of the two days in the bucket."""
    directory = tmp_path / "dagster"
    directory.mkdir()
    (directory / "dagster.yaml").symlink_to(project_root() / "dagster.yaml")
    found = {"DAGSTER_HOME": str(directory), "LAKE_DAGSTER_DIR": str(directory)}
    write_state(home, replace(running, settings=settings_of(bucket) | found))
    store = LakeStore(bucket)
    for back in (0, 1):
        day = YESTERDAY - timedelta(days=back)
        store.put_whole(data_key(load_catalog()[RUNS], day), b"rows")
    return directory


def test_days_of_the_bucket_are_recorded(dagster_dir: Path, monkeypatch: pytest.MonkeyPatch):
    first = lake("reindex")

    assert first.exit_code == 0, first.stderr
    assert first.stdout == "2 days of the bucket are recorded in Dagster; nothing was run.\n"
    assert "(2 of 2)" in first.stderr
    monkeypatch.setenv("LAKE_DAGSTER_DIR", str(dagster_dir))
    with dg.DagsterInstance.from_config(str(dagster_dir)) as instance:
        known = instance.get_materialized_partitions(dg.AssetKey([RUNS]))
        assert known == {str(YESTERDAY), str(YESTERDAY - timedelta(days=1))}
        assert instance.get_runs_count() == 0


def test_a_bucket_that_does_not_answer_is_told(
    dagster_dir: Path, home: Path, running: StackState, bucket: LakeLocation, capfd
):
    found = {"DAGSTER_HOME": str(dagster_dir), "LAKE_DAGSTER_DIR": str(dagster_dir)}
    refused = replace(bucket, secret_key="not the secret")
    write_state(home, replace(running, settings=settings_of(refused) | found))

    result = lake("reindex")

    assert result.exit_code == 1
    assert "`lake reindex` again goes on from where it was" in result.stderr
    said = capfd.readouterr().err
    assert "object storage failed" in said
    assert "Traceback" not in said

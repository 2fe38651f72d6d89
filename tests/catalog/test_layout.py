from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog import data_key, dataset_prefix, day_of_key, load_catalog, version_key

DATASETS = tuple(load_catalog())


@given(st.sampled_from(DATASETS), st.dates(min_value=date(1970, 1, 1)))
def test_a_key_gives_back_its_day_to_its_own_dataset_only(dataset, day):
    key = data_key(dataset, day)

    assert day_of_key(dataset, key) == day
    assert [other for other in DATASETS if day_of_key(other, key)] == [dataset]


def test_derived_datasets_lie_beside_raw():
    catalog = load_catalog()

    assert data_key(catalog["platform/llm_token_usage"], date(2026, 11, 21)) == (
        "raw/platform/llm_token_usage/date=2026-11-21/data.parquet"
    )
    assert dataset_prefix(catalog["derived/predictions/agent_anomalies"]) == (
        "derived/predictions/agent_anomalies/"
    )
    assert version_key(catalog["agent_run_log"]) == "raw/agent_run_log/_version.json"


@pytest.mark.parametrize(
    "key",
    [
        "raw/agent_run_log/_version.json",
        "raw/agent_run_log/date=2026-11-21/other.parquet",
        "raw/agent_run_log/date=20261121/data.parquet",
        "raw/agent_run_log/date=2026-W47-6/data.parquet",
        "raw/agent_run_log/date=2026-13-01/data.parquet",
        "raw/agent_run_log/date=2026-11-21/x/data.parquet",
        "raw/agent_run_logs/date=2026-11-21/data.parquet",
        "agent_run_log/date=2026-11-21/data.parquet",
    ],
)
def test_a_key_that_no_writer_makes_is_no_partition(key):
    assert day_of_key(load_catalog()["agent_run_log"], key) is None

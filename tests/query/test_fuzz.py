"""A short run of the fuzzing, the same texts each time; `make fuzz` is the long one."""

import os
from collections.abc import Callable, Iterator
from datetime import date
from io import BytesIO

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lake_api.errors import LakeError
from lake_api.query.engine import QueryEngine
from lake_api.query.guard import Guard
from lake_api.settings import Settings
from lake_assets.catalog import data_key, version_key
from tests.fuzz.arena import DAY, Arena, Seen, forbidden_rows
from tests.fuzz.hostile_worker import DATASET_CANARY, ENVIRONMENT_CANARY
from tests.fuzz.texts import CATALOG, FORBIDDEN, READABLE, texts
from tests.query.conftest import Lake
from tests.query.every_dataset import rows_of

OBJECT_CANARY = "canaryobject1618033988"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("fuzz")) as arena:
        yield arena


@given(text=texts())
@example(text=f"SELECT * FROM {FORBIDDEN}")
@example(text="SELECT content FROM read_text('/etc/passwd')")
@example(text="SELECT getenv('LANG')")
@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_no_canary_is_seen_by_any_way(arena: Arena, text: str) -> None:
    arena.try_text(text)


def test_the_texts_came_far_enough(arena: Arena) -> None:
    """A fuzzer whose texts are all refused at the door proves nothing; runs after the other."""
    counts = arena.findings.counts
    assert counts["texts"] >= 500
    assert counts["passed the guard"] > 50
    assert counts["answered"] > 10
    assert arena.findings.unstoppable == []
    assert arena.findings.faults == []


def test_a_canary_would_be_seen(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same eyes, on a guard that lets everybody read everything."""

    class Lenient(Arena):
        def check(self, sql: str):
            return self.guard.check(sql)

    with Lenient(tmp_path_factory.mktemp("lenient")) as arena, pytest.raises(Seen):
        arena.try_text(f"SELECT * FROM {FORBIDDEN}")


# --- the whole engine, over a real S3 with a canary object -----------------------------------


@pytest.fixture(scope="module")
def engine(new_lake: Callable[[], Lake]) -> Iterator[tuple[Lake, QueryEngine]]:
    lake = new_lake()
    for dataset in CATALOG:
        if dataset.sql_name in {FORBIDDEN, "agent_run_log", "platform_llm_token_usage"}:
            rows = pa.Table.from_batches([rows_of(dataset, DAY)])
            hidden = dataset.sql_name == FORBIDDEN
            buffer = BytesIO()
            pq.write_table(forbidden_rows(dataset) if hidden else rows, buffer)
            obstore.put(lake.writer, data_key(dataset, DAY), buffer.getvalue())
            obstore.put(lake.writer, version_key(dataset), b"1")
    buffer = BytesIO()
    pq.write_table(pa.table({"a": [OBJECT_CANARY]}), buffer)
    # Beside the datasets, and inside the folder of one that may be read.
    inside = data_key(CATALOG["agent_run_log"], date(2026, 11, 2)).replace("data.", "other.")
    for key in ("secret/canary.parquet", "canary.parquet", inside):
        obstore.put(lake.writer, key, buffer.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_FUZZ_SECRET", ENVIRONMENT_CANARY)
        patch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", ENVIRONMENT_CANARY)
        engine = lake.background.run(
            QueryEngine.start(
                location=lake.location,
                settings=Settings.from_mapping(
                    {
                        "LAKE_CACHE_DIR": str(lake.cache),
                        "LAKE_DATABASE_URL": f"sqlite:///{lake.cache}/service.db",
                        "LAKE_QUERY_WORKERS": "1",
                        "LAKE_QUERY_THREADS": "1",
                        "LAKE_QUERY_TIMEOUT_S": "1",
                        "LAKE_QUERY_GRACE_S": "0.5",
                        "LAKE_QUERY_ADDRESS_SPACE_BYTES": "1000000000",
                    }
                ),
                catalog=CATALOG,
            )
        )
    # Someone else may read it: its objects are in the cache, too.
    everything = Guard(CATALOG).check(f"SELECT * FROM {FORBIDDEN}")
    result = lake.background.run(engine.run(everything, limit=10))
    assert DATASET_CANARY.encode() in result.rows_json
    yield lake, engine
    lake.background.run(engine.close())


_GUARD = Guard(CATALOG)
_SECRETS = (OBJECT_CANARY, DATASET_CANARY, ENVIRONMENT_CANARY)


@given(
    text=st.one_of(texts(), st.sampled_from([f"SELECT * FROM {one.sql_name}" for one in READABLE]))
)
@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_the_engine_never_shows_a_canary(engine: tuple[Lake, QueryEngine], text: str) -> None:
    lake, runner = engine
    try:
        checked = _GUARD.check(text, may_read=lambda one: one.sql_name != FORBIDDEN)
        said = repr(lake.background.run(runner.run(checked, limit=1_000, agent="agent:fuzz")))
    except LakeError as error:
        said = repr(error.to_problem())
    for secret in (*_SECRETS, str(lake.cache), lake.location.bucket, lake.location.secret_key):
        assert secret not in said

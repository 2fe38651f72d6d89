"""The second wall: hostile statements sent straight to a worker, past the guard and the vote."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lake_api.query.messages import (
    Answer,
    Failure,
    Job,
    Ready,
    Refused,
    View,
    WorkerConfig,
    decode_from_worker,
    read_frame,
    to_frame,
)

SECRET = "canary-3141592653"
ENVIRONMENT = {"LANG": "C.UTF-8", "TZ": "UTC"}
# Starts a worker whose vote agrees with everything.
PAST_THE_VOTE = (
    "import lake_api.query.worker.session as s; "
    "s.Session.__init__.__kwdefaults__['vote'] = lambda *a, **k: None; "
    "from lake_api.query.worker.__main__ import main; main()"
)


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    objects: Path
    outside: Path
    jobs: int = 0

    def ask(self, sql: str, *, views=()) -> Answer | Failure:
        self.jobs += 1
        job = Job(id=self.jobs, sql=sql, views=views, row_cap=1000, byte_cap=10**6, top_n=False)
        self.send(job)
        reply = self.receive()
        assert isinstance(reply, Answer | Failure), sql
        return reply

    def send(self, message) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(to_frame(message))
        self.process.stdin.flush()

    def receive(self):
        assert self.process.stdout is not None
        body = read_frame(self.process.stdout)
        assert body is not None, "the worker is gone"
        return decode_from_worker(body)

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


def start(directory: Path, *, code: str = PAST_THE_VOTE, env=None) -> Worker:
    objects, outside = directory / "objects", directory / "outside"
    objects.mkdir()
    outside.mkdir()
    (outside / "canary.csv").write_text(f"a,b\n{SECRET},1\n")
    (directory / "canary.txt").write_text(SECRET)
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT if env is None else env,
    )
    worker = Worker(process=process, objects=objects, outside=outside)
    worker.send(
        WorkerConfig(
            objects_dir=str(objects),
            database=str(directory / "empty.duckdb"),
            canary=str(directory / "canary.txt"),
            memory_bytes=200_000_000,
            address_space_bytes=1_000_000_000,
            threads=1,
        )
    )
    return worker


@pytest.fixture(scope="module")
def worker(tmp_path_factory) -> Iterator[Worker]:
    worker = start(tmp_path_factory.mktemp("worker"))
    assert worker.receive() == Ready()
    yield worker
    worker.stop()


HOSTILE = [
    # files outside of the cache, by every road
    "SELECT * FROM '{outside}/canary.csv'",
    "SELECT * FROM read_csv('{outside}/canary.csv')",
    "SELECT * FROM read_text('{outside}/canary.csv')",
    "SELECT * FROM read_blob('{outside}/*')",
    "SELECT * FROM glob('{outside}/*')",
    "SELECT * FROM read_text('{objects}/../outside/canary.csv')",
    "SELECT * FROM query('FROM read_text(''{outside}/canary.csv'')')",
    "SELECT * FROM query_table('{outside}/canary.csv')",
    "SELECT * FROM sniff_csv('{outside}/canary.csv')",
    "SELECT * FROM parquet_metadata('{outside}/canary.csv')",
    "SELECT * FROM read_json_auto('{outside}/canary.csv')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM ''{outside}/canary.csv'''))",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/proc/self/maps')",
    "SUMMARIZE '{outside}/canary.csv'",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
    "SELECT * FROM 's3://bucket/key.parquet'",
    "SELECT getenv('HOME')",
    # writing
    "COPY (SELECT 1) TO '{objects}/written.csv'",
    "COPY (SELECT 1) TO '{outside}/written.csv'",
    "COPY (SELECT 1) TO '{objects}/written.parquet' (FORMAT parquet)",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "EXPORT DATABASE '{objects}/all'",
    "ATTACH '{objects}/other.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "ATTACH '{outside}/canary.csv' AS other",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CHECKPOINT",
    # settings and extensions
    "SET threads = 4",
    "SET GLOBAL memory_limit = '10GB'",
    "SET enable_external_access = true",
    "RESET memory_limit",
    "PRAGMA threads = 4",
    "PRAGMA enable_profiling",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{outside}/canary.csv'",
]


def writable(worker: Worker) -> dict[str, int]:
    return {
        str(path): path.stat().st_size
        for path in worker.objects.parent.rglob("*")
        if path.is_file() and not path.name.endswith("lock-proof.csv")
    }


SETTINGS = "SELECT name, value FROM duckdb_settings() ORDER BY name"


@pytest.mark.parametrize("sql", HOSTILE)
def test_hostile_statements_get_nothing_and_leave_nothing(worker, sql):
    files, settings = writable(worker), worker.ask(SETTINGS)
    reply = worker.ask(sql.format(objects=worker.objects, outside=worker.outside))
    if isinstance(reply, Answer):
        assert SECRET.encode() not in reply.rows_json
        assert b"root:" not in reply.rows_json
        assert reply.rows_json in {b"[]", b"[[null]]"}, reply.rows_json
    else:
        told = f"{reply.detail} {reply.hint}"
        assert SECRET not in told
    assert writable(worker) == files
    after = worker.ask(SETTINGS)
    assert isinstance(after, Answer)
    assert isinstance(settings, Answer)
    assert after.rows_json == settings.rows_json
    assert json.loads(worker.ask("SELECT 42").rows_json) == [[42]]


@pytest.mark.parametrize(
    ("statement", "probe"),
    [
        ("CREATE TEMP TABLE t AS SELECT 1 AS a", "SELECT a FROM t"),
        ("CREATE TEMP VIEW v AS SELECT 1 AS a", "SELECT a FROM v"),
        ("CREATE TEMP MACRO m() AS 7", "SELECT m()"),
        ("SET VARIABLE x = 7", "SELECT getvariable('x') + 0 WHERE getvariable('x') IS NOT NULL"),
        ("PREPARE p AS SELECT 7", "EXECUTE p"),
        ("BEGIN", "COMMIT"),
        ("CREATE TEMP TABLE agent_run_log AS SELECT 7 AS a", "SELECT a FROM agent_run_log"),
    ],
)
def test_nothing_outlives_its_query(worker, statement, probe):
    worker.ask(statement)
    reply = worker.ask(probe)
    assert isinstance(reply, Failure) or reply.rows_json == b"[]"


def test_a_dataset_can_t_be_shadowed_for_the_next_query(worker):
    view = View(name="agent_run_log", columns=(("a", "BIGINT"),), groups=())
    worker.ask("CREATE OR REPLACE TEMP VIEW agent_run_log AS SELECT 7 AS a", views=(view,))
    assert worker.ask("SELECT * FROM agent_run_log", views=(view,)).rows_json == b"[]"


def test_only_the_query_s_own_datasets_are_there(worker):
    view = View(name="agent_run_log", columns=(("a", "BIGINT"),), groups=())
    assert isinstance(worker.ask("SELECT a FROM agent_run_log", views=(view,)), Answer)
    reply = worker.ask("SELECT a FROM agent_run_log")
    assert isinstance(reply, Failure)
    assert reply.code == "unknown_table"


def test_the_process_is_limited(worker):
    process = psutil.Process(worker.process.pid)
    assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    soft, hard = process.rlimit(psutil.RLIMIT_AS)
    assert soft == hard
    assert 0 < soft < 4_000_000_000
    assert set(process.environ()) <= {"LANG", "TZ", "LC_CTYPE"}


def test_it_ends_when_the_pipe_closes(tmp_path):
    worker = start(tmp_path)
    assert worker.receive() == Ready()
    worker.send(
        Job(
            id=1,
            sql="SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a <> b",
            views=(),
            row_cap=1,
            byte_cap=100,
            top_n=False,
        )
    )
    worker.stop()
    assert worker.process.returncode == 0


@pytest.mark.parametrize(
    "name", ["lake (copy)", "o'clock, early", "[a] {b} c*", 'a "b" c', "#1; a=b: Größe", "a, b"]
)
def test_a_worker_serves_from_a_folder_with_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    worker = start(folder)
    try:
        assert worker.receive() == Ready()
        (worker.objects / "inside.csv").write_text("a\n7\n")
        inside, outside = (
            str(path).replace("'", "''")
            for path in (worker.objects / "inside.csv", worker.outside / "canary.csv")
        )
        assert isinstance(worker.ask(f"SELECT content FROM read_text('{inside}')"), Answer)
        refused = worker.ask(f"SELECT content FROM read_text('{outside}')")
        assert isinstance(refused, Failure)
    finally:
        worker.stop()


def test_a_worker_with_a_foreign_variable_does_not_serve(tmp_path):
    worker = start(tmp_path, env={**ENVIRONMENT, "AWS_SECRET_ACCESS_KEY": SECRET})
    reply = worker.receive()
    assert isinstance(reply, Refused)
    assert SECRET not in reply.reason
    worker.process.wait(timeout=10)
    worker.stop()


def test_the_vote_stands_in_the_way(tmp_path):
    worker = start(tmp_path, code="from lake_api.query.worker.__main__ import main; main()")
    assert worker.receive() == Ready()
    for sql in (
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM nowhere",
        "COPY (SELECT 1) TO 'x'",
    ):
        reply = worker.ask(sql)
        assert isinstance(reply, Failure)
        assert (reply.rejected, reply.code) == (True, "parsers_disagree")
    worker.stop()


def test_the_kernel_forbids_what_the_engine_would_not(tmp_path):
    """Landlock, where the kernel has it: the process itself can't read or write elsewhere."""
    canary = tmp_path / "canary.txt"
    canary.write_text(SECRET)
    code = (
        "import sys; from lake_api.query.worker.sandbox import restrict_files\n"
        f"print(restrict_files(readable=[{str(tmp_path / 'in')!r}]))\n"
        f"for path in ({str(canary)!r}, {str(tmp_path / 'in' / 'a')!r}):\n"
        "    for mode in 'rw':\n"
        "        try: open(path, mode).close(); print(mode)\n"
        "        except PermissionError: print('no')\n"
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("x")
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    if told[0] == "False":
        pytest.skip("this kernel has no Landlock")
    assert told == ["True", "no", "no", "r", "no"]
    assert os.access(canary, os.R_OK)

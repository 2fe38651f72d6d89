"""The second wall: the rejected corpus sent straight to a worker, past the guard and the vote.

What the locked process must hold by itself: no file outside of the cache is read, no variable of
the environment, no setting changes, nothing is written, and nothing outlives its query.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from lake_api.query.messages import (
    Answer,
    Failure,
    FileGroup,
    Ready,
    Refused,
    View,
    decode_from_worker,
    to_frame,
)
from lake_api.query.worker.locked_engine import AT_CONNECT, STATEMENTS
from tests.fuzz.hostile_worker import CANARIES, FILE_CANARY, Gone, HostileWorker, told
from tests.query.guard_cases import REJECTED, Case

# Everything of the engine that a statement could leave behind.
_TRACES = """
    SELECT 'setting' AS what, name, coalesce(value, '') FROM duckdb_settings()
    UNION ALL SELECT 'table', database_name || schema_name || table_name, '' FROM duckdb_tables()
    UNION ALL SELECT 'view', schema_name || view_name, '' FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT 'macro', function_name, '' FROM duckdb_functions() WHERE NOT internal
    UNION ALL SELECT 'variable', name, value::VARCHAR FROM duckdb_variables()
    UNION ALL SELECT 'type', type_name, '' FROM duckdb_types() WHERE NOT internal
    UNION ALL SELECT 'database', database_name, '' FROM duckdb_databases()
    UNION ALL SELECT 'schema', database_name || schema_name, '' FROM duckdb_schemas()
    UNION ALL SELECT 'sequence', sequence_name, '' FROM duckdb_sequences()
    UNION ALL SELECT 'index', index_name, '' FROM duckdb_indexes()
    UNION ALL SELECT 'secret', name, '' FROM duckdb_secrets()
    UNION ALL SELECT 'prepared', name, '' FROM duckdb_prepared_statements()
    ORDER BY ALL
"""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileWorker]:
    directory = tmp_path_factory.mktemp("wall")
    with HostileWorker(directory, vote=False) as worker:
        worker.plant(case.sql for case in REJECTED)
        worker.keep_segment(forbidden_view(worker))
        worker.ask("SELECT 1")  # makes its own files
        yield worker


def forbidden_view(worker: HostileWorker) -> View:
    """A dataset that no text of the corpus may read."""
    columns = (("a", "VARCHAR"),)
    (file,) = worker.objects.glob("raw/forbidden/*/data.parquet")
    group = FileGroup(columns=columns, files=(str(file),))
    return View(name="forbidden", columns=columns, groups=(group,))


def traces(worker: HostileWorker) -> bytes:
    reply = worker.ask(_TRACES, deadline_s=10)
    assert isinstance(reply, Answer), reply
    assert reply.row_count > 150
    return reply.rows_json


def files(worker: HostileWorker) -> dict[str, tuple[int, int]]:
    found = {path: path.stat() for path in worker.directory.rglob("*")}
    return {
        str(path): (status.st_size, status.st_mtime_ns if path.is_file() else 0)
        for path, status in found.items()
    }


@pytest.fixture(scope="module")
def before(worker: HostileWorker) -> tuple[bytes, dict[str, tuple[int, int]]]:
    return traces(worker), files(worker)


@pytest.mark.parametrize("case", REJECTED, ids=str)
def test_the_locked_worker_holds_alone(
    worker: HostileWorker, before: tuple[bytes, dict[str, tuple[int, int]]], case: Case
) -> None:
    if not case.sql.isascii() and case.sql != case.sql.encode(errors="replace").decode():
        with pytest.raises(UnicodeEncodeError):  # half a character can't even be sent
            worker.ask(case.sql)
        return
    for sql in dict.fromkeys((case.sql, worker.aim(case.sql))):
        try:
            reply = worker.ask(sql)
        except Gone:
            continue  # it did not stop, and was ended
        said = told(reply)
        assert not [canary for canary in CANARIES if canary in said and canary not in sql.encode()]
        if isinstance(reply, Failure):
            assert str(worker.objects) not in f"{reply.detail} {reply.hint}"
    assert traces(worker) == before[0]
    assert files(worker) == before[1]


def test_the_canaries_would_be_seen(worker: HostileWorker) -> None:
    """What is in the cache can be read past the guard: the test's eyes are open."""
    for table in (f"'{worker.objects}/raw/forbidden/*/data.parquet'", "s0.main.rows"):
        reply = worker.ask(f"FROM {table}")
        assert [canary for canary in CANARIES if canary in told(reply)]
    assert FILE_CANARY in (worker.outside / "canary.csv").read_text()


# --- a worker that can't prove its locks -----------------------------------------------------

_OPPOSITE = {"true": "false", "false": "true"}


def first_word(directory: Path, code: str) -> Ready | Refused:
    """What a worker says first whose `main` is called by `code`, where `main` and `e` are known."""
    worker = HostileWorker(directory)
    setup = (
        "from functools import partial\n"
        "from lake_api.query.worker import locked_engine as e\n"
        "from lake_api.query.worker.__main__ import main\n"
        f"at_connect, statements = dict(e.AT_CONNECT), list(e.STATEMENTS)\n{code}\n"
    )
    process = subprocess.run(
        [sys.executable, "-I", "-c", setup],
        input=to_frame(worker.config),
        stdout=subprocess.PIPE,
        env={"LANG": "C.UTF-8", "TZ": "UTC"},
        check=True,
        timeout=60,
    )
    message = decode_from_worker(process.stdout[4:])
    assert isinstance(message, Ready | Refused)
    return message


def without(name: str) -> str:
    """Code that leaves one statement out."""
    return (
        f"statements = [one for one in statements if {name!r} not in one]\n"
        f"assert len(statements) == {len(STATEMENTS) - 1}\n"
        "main(open_engine=partial(e.open_locked, statements=statements))"
    )


def with_setting(name: str, value: str) -> str:
    """Code that starts the engine with another value of one setting."""
    return (
        f"at_connect[{name!r}] = {value!r}\n"
        "main(open_engine=partial(e.open_locked, at_connect=at_connect))"
    )


# Settings for right and fast answers, which lock nothing; their defaults are no danger.
_NO_LOCKS = {
    "disable_parquet_prefetching",
    "parquet_metadata_cache",
    "preserve_insertion_order",
    "validate_external_file_cache",
}
_SABOTAGE = {
    **{
        f"without {name}": without(name)
        for name in (one.split()[2] for one in STATEMENTS)
        if name not in _NO_LOCKS | {"TimeZone"}
    },
    "another TimeZone": (
        "statements = [one.replace('UTC', 'Asia/Tokyo') for one in statements]\n"
        "main(open_engine=partial(e.open_locked, statements=statements))"
    ),
    **{
        f"{name} = {_OPPOSITE[value]}": with_setting(name, _OPPOSITE[value])
        for name, value in AT_CONNECT.items()
        if value in _OPPOSITE
    },
    "another memory_limit": with_setting("memory_limit", "8GB"),
    "no memory_limit": with_setting("memory_limit", "-1"),
    "more threads": with_setting("threads", "3"),
    "a temp_directory": with_setting("temp_directory", "/tmp/lake-spill"),
    "unlocked before a change": (
        "statements.insert(0, statements.pop())\n"
        "main(open_engine=partial(e.open_locked, statements=statements))"
    ),
    "another allowed directory": (
        "statements = [one.replace('[{objects}]', \"[{objects}, '/usr']\") for one in statements]\n"
        "main(open_engine=partial(e.open_locked, statements=statements))"
    ),
    "no limits": "main(limit=lambda **_: None)",
    "no limit on files": (
        "import resource as r; from lake_api.query.worker.sandbox import limit_resources\n"
        "set_ = r.setrlimit\n"
        "r.setrlimit = lambda what, limits: what == r.RLIMIT_FSIZE or set_(what, limits)\n"
        "main(limit=limit_resources)"
    ),
    "no limit on memory": (
        "import resource as r; from lake_api.query.worker.sandbox import limit_resources\n"
        "set_ = r.setrlimit\n"
        "r.setrlimit = lambda what, limits: what == r.RLIMIT_AS or set_(what, limits)\n"
        "main(limit=limit_resources)"
    ),
    "core dumps": (
        "import resource as r; from lake_api.query.worker.sandbox import limit_resources\n"
        "set_ = r.setrlimit; r.setrlimit(r.RLIMIT_CORE, (0, 4096))\n"
        "r.setrlimit = lambda what, limits: what == r.RLIMIT_CORE or set_(what, limits)\n"
        "r.getrlimit(r.RLIMIT_CORE) != (0, 0) or exit('this system has no core dumps')\n"
        "main(limit=limit_resources)"
    ),
    "a kernel that only says so": "main(restrict=lambda **_: True)",
    "a filter of calls that only says so": "main(forbid=lambda: True)",
}
"""One lock less each, by the parameters of `main` and `open_locked`."""

if sys.platform == "linux":
    _SABOTAGE["dumps that the system pipes"] = (
        "import ctypes; from lake_api.query.worker.sandbox import limit_resources\n"
        "main(limit=lambda **k: (limit_resources(**k), ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)))"
    )


@pytest.mark.parametrize("name", _SABOTAGE)
def test_a_worker_that_lacks_one_lock_does_not_serve(tmp_path: Path, name: str) -> None:
    word = first_word(tmp_path, _SABOTAGE[name])
    assert isinstance(word, Refused), name
    assert not [canary for canary in CANARIES if canary in word.reason.encode()]


def test_a_worker_with_all_its_locks_serves(tmp_path: Path) -> None:
    assert first_word(tmp_path, "main()") == Ready()


def test_the_engine_has_no_setting_that_nobody_has_looked_at() -> None:
    """A new version may bring a setting whose default opens something: lock it, or list it."""
    known = Path(__file__).parent.parent / "fixtures" / "engine_settings.txt"
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT name FROM duckdb_settings()").fetchall()
    assert {name for (name,) in rows} == set(known.read_text(encoding="ascii").split())

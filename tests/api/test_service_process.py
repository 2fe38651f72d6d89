"""The service as a process: what it imports, how it starts, how it stops."""

import json
import logging
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields

import httpx
import pytest

from lake_api import errors
from lake_api.app import create_app
from lake_api.errors import LakeError
from lake_api.settings import SETTINGS, Settings, SettingsError
from lake_api.web.logs import JsonFormatter, configure_logging
from lake_assets.catalog import Catalog

_IMPORT = """
import sys, time
start = time.perf_counter()
from lake_api.app import create_app
from lake_api.settings import Settings
from lake_assets.catalog import LakeLocation, load_catalog
imported = time.perf_counter()
settings = Settings.from_mapping({})
location = LakeLocation(endpoint="http://127.0.0.1:9", access_key="a", secret_key="b")
create_app(settings=settings, catalog=load_catalog(), location=location)
print(time.perf_counter() - imported)
heavy = ("dagster", "dagster_graphql", "pandas", "duckdb", "pyarrow",
         "lake_assets.sources", "lake_assets.storage", "lake_assets.orchestration")
print(sorted(name for name in heavy if name in sys.modules))
"""


def test_the_application_loads_nothing_heavy_and_starts_at_once() -> None:
    program = subprocess.run(
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True
    )
    seconds, loaded = program.stdout.splitlines()
    assert loaded == "[]"
    # Without imports: it reads no file and opens no connection.
    assert float(seconds) < 1.0


def test_it_needs_a_lake_or_an_engine(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="location or an engine"):
        create_app(settings=Settings.from_mapping({}), catalog=catalog)


StartProcess = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_process() -> Iterator[StartProcess]:
    with ExitStack() as stack:

        def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env={"PATH": os.environ["PATH"], **env},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def test_a_setting_that_cant_be_read_ends_it_with_a_sentence(start_process: StartProcess) -> None:
    process = start_process("-m", "lake_api.serve", LAKE_QUERY_WORKERS="many")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "LAKE_QUERY_WORKERS" in said
    assert "Traceback" not in said


def test_a_missing_lake_ends_it_with_a_sentence(start_process: StartProcess) -> None:
    process = start_process("-m", "lake_api.serve")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "MINIO_URL" in said


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _poll(found: Callable[[], bool], *, deadline_s: float = 60) -> None:
    end = time.monotonic() + deadline_s
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_it_serves_and_stops_when_told(
    start_process: StartProcess, lake_env: dict[str, str]
) -> None:
    port = _free_port()
    process = start_process("-m", "lake_api.serve", "--port", str(port), **lake_env)
    _poll(lambda: _answers(f"http://127.0.0.1:{port}"))
    ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    assert ready.status_code == 503
    assert ready.json()["parts"]["storage"]["reason"] == "storage_unavailable"
    assert "server" not in ready.headers
    process.terminate()
    _, said = process.communicate(timeout=30)
    lines = [json.loads(line) for line in said.splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert not _answers(f"http://127.0.0.1:{port}")


_PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "lake_api.serve", *sys.argv[1:],
                          "--parent-pid", str(os.getpid())])
print(child.pid, flush=True)
child.wait()
"""


def test_it_does_not_outlive_its_parent(
    start_process: StartProcess, lake_env: dict[str, str]
) -> None:
    port = _free_port()
    parent = start_process("-c", _PARENT, "--port", str(port), **lake_env)
    _poll(lambda: _answers(f"http://127.0.0.1:{port}"))
    parent.kill()
    _poll(lambda: not _answers(f"http://127.0.0.1:{port}"), deadline_s=20)


def test_log_lines_are_json_with_their_extra_fields() -> None:
    record = logging.LogRecord("a.b", logging.INFO, "f.py", 1, "query %s", ("x",), None)
    record.__dict__.update({"rows": 3, "agent": "ünï"})
    line = json.loads(JsonFormatter().format(record))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info", "logger": "a.b", "message": "query x", "rows": 3, "agent": "ünï",
    }  # fmt: skip


def test_log_lines_keep_a_traceback() -> None:
    try:
        raise ValueError("inside")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "m", (), sys.exc_info())
    assert "ValueError: inside" in json.loads(JsonFormatter().format(record))["exception"]


def test_every_setting_is_an_attribute_and_every_attribute_a_setting() -> None:
    attributes = [setting.attribute for setting in SETTINGS]
    assert sorted(attributes) == sorted(field.name for field in fields(Settings))
    assert len(set(attributes)) == len(attributes)
    for setting in SETTINGS:
        assert setting.sentence.endswith(".")


def test_blank_settings_take_their_defaults() -> None:
    assert Settings.from_mapping({"LAKE_BODY_BYTES": " "}) == Settings.from_mapping({})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LAKE_INTERNAL_NETWORKS", "10.0.0.0/33"),
        ("LAKE_QUERY_TIMEOUT_S", "56"),
        ("LAKE_QUERY_TIMEOUT_S", "nan"),
        ("LAKE_DAGSTER_TIMEOUT_S", "0"),
        ("LAKE_BODY_BYTES", "-1"),
        ("LAKE_CALLS_PER_CRON_RUN", "ten"),
    ],
)
def test_a_bad_setting_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_mapping({name: text})


def test_the_key_is_in_no_repr() -> None:
    settings = Settings.from_mapping({"AINATIVE_INTERNAL_API_KEY": "hush-hush"})
    assert "hush-hush" not in repr(settings)


def _kinds(kind: type[LakeError]) -> Iterator[type[LakeError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


@pytest.mark.parametrize("kind", tuple(_kinds(LakeError)))
def test_every_error_crosses_processes_whole_and_is_in_the_drawing(
    kind: type[LakeError],
) -> None:
    error = kind("what", hint="how", retry_after_s=3, field="sql")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.to_problem() == error.to_problem()
    assert again.headers == error.headers
    assert kind.__name__ in (errors.__doc__ or "")


def test_what_callers_sent_is_not_logged_by_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging()
        root.warning("Failed to validate request: input_value='SELECT 1'")
        logging.getLogger("lake_api.query").warning("told")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "told"

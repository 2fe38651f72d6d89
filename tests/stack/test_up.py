"""`lake up --detach` and what may happen to it: other people's ports, ends of parts, a crash."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from lake_api.stack.ports import LOOPBACK, is_free
from tests.stack.conftest import Eventually

PREFERRED = {"api": 8000, "dagster": 3000, "s3": 8333, "postgres": 5432}
PARTS = {"s3", "postgres", "dagster-code", "dagster-webserver", "dagster-daemon", "api"}


@dataclass(frozen=True)
class Command:
    """The `lake` command with a state directory of its own."""

    home: Path

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        ours = ("LAKE_", "MINIO_", "PLATFORM_", "AINATIVE_", "DAGSTER_")
        env = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [sys.executable, "-m", "lake_api.cli", *arguments],
            env={**env, "LAKE_STATE_DIR": str(self.home)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        return json.loads(self("status", "--json").stdout)

    def up(self) -> dict[str, Any]:
        started = self("up", "--detach", "--no-schedules")
        assert started.returncode == 0, started.stderr
        return self.status()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    command = Command(tmp_path_factory.mktemp("up") / "state")
    try:
        with ExitStack() as others:
            # Somebody listens on each preferred port: we do, where nobody else does.
            for port in PREFERRED.values():
                if is_free(port):
                    others.enter_context(socket.create_server((LOOPBACK, port)))
            command.up()
        yield command
    finally:
        command("down")
        shutil.rmtree(command.home)


def tree(pid: int) -> Sequence[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def test_ports_that_are_taken_are_left_alone(lake: Command) -> None:
    state = lake.status()
    urls = [state["api_url"], state["dagster_url"], state["s3_endpoint"]]
    ports = {httpx.URL(url).port for url in urls}
    assert len(ports) == 3
    assert not ports & set(PREFERRED.values())
    said = (lake.home / "logs" / "up.log").read_text()
    for part, port in PREFERRED.items():
        assert f"port {port} is taken: {part} uses port " in said
    assert httpx.get(f"{state['api_url']}/readyz", timeout=30).json()["state"] == "ready"


def test_a_second_up_names_the_first_and_fails(lake: Command) -> None:
    state = lake.status()
    for flags in ((), ("--detach",)):
        second = lake("up", *flags)
        assert second.returncode == 1
        assert state["api_url"] in second.stderr
    assert lake.status()["pid"] == state["pid"]


@pytest.mark.parametrize("part", ["api", "s3"])
def test_a_part_that_ends_by_itself_is_started_again(
    lake: Command, eventually: Eventually, part: str
) -> None:
    before = lake.status()
    assert set(before["parts"]) == PARTS
    psutil.Process(before["parts"][part]["pid"]).kill()

    def is_back() -> bool:
        now = lake.status()["parts"][part]
        return now["state"] == "running" and now["pid"] != before["parts"][part]["pid"]

    assert eventually(is_back)

    def is_ready() -> bool:
        return httpx.get(f"{before['api_url']}/readyz", timeout=30).is_success

    assert eventually(is_ready)
    after = lake.status()
    assert (after["api_url"], after["s3_endpoint"]) == (before["api_url"], before["s3_endpoint"])


def test_after_a_crash_nothing_runs_and_the_next_up_finds_its_state(
    lake: Command, eventually: Eventually, is_gone: Callable[[int], bool]
) -> None:
    before = lake.status()
    processes = tree(before["pid"])
    # The supervisor, its guardian and the parts at least; Postgres, Dagster and the API have more.
    assert len(processes) > len(PARTS) + 2
    psutil.Process(before["pid"]).kill()
    assert eventually(lambda: all(is_gone(process.pid) for process in processes))
    assert lake.status()["running"] is False

    key = Path(before["internal_api_key_file"]).read_text()
    after = lake.up()
    assert Path(after["internal_api_key_file"]).read_text() == key
    for address in ("api_url", "dagster_url", "s3_endpoint"):
        # Where others took the preferred port, the one in its place is a part's for good.
        assert after[address] == before[address]
    assert {part["state"] for part in after["parts"].values()} == {"running"}
    assert httpx.get(f"{after['api_url']}/readyz", timeout=30).json()["state"] == "ready"

    processes = tree(after["pid"])
    assert lake("down").returncode == 0
    # The parts are gone when `down` returns; the supervisor itself needs a moment more.
    assert eventually(lambda: all(is_gone(process.pid) for process in processes))
    assert lake("down").returncode == 0

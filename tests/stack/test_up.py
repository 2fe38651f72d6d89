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
from lake_api.stack.state import PartState, read_state
from tests.stack.conftest import Eventually

PREFERRED = {"api": 8000, "dagster": 3000, "s3": 8333, "postgres": 5432}
PARTS = {"s3", "postgres", "dagster-code", "dagster-webserver", "dagster-daemon", "api"}


@dataclass
class Command:
    """The `lake` command with a state directory of its own."""

    home: Path
    said_at_start: str = ""

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
        self.said_at_start = started.stdout
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
        line = f"port {port} is taken: {part} uses port "
        assert line in said
        # Who starts it in the background does not look into the log.
        assert line in lake.said_at_start
    assert httpx.get(f"{state['api_url']}/readyz", timeout=30).json()["state"] == "ready"


def test_a_second_up_names_the_first_and_fails(lake: Command) -> None:
    state = lake.status()
    for flags in ((), ("--detach",)):
        second = lake("up", *flags)
        assert second.returncode == 1
        assert state["api_url"] in second.stderr
    assert lake.status()["pid"] == state["pid"]


MUTATION = 'mutation { stopRunningSchedule(id: "x") { __typename } }'


def test_dagster_takes_nothing_from_pages_of_other_sites(lake: Command) -> None:
    url = lake.status()["dagster_url"]
    port = httpx.URL(url).port
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as web:
        body = {"query": MUTATION}
        assert web.get("/graphql", params=body).status_code == 405
        assert web.get("/graphql%0A", params=body).status_code == 400
        assert web.post("/graphql", params=body).status_code == 415
        text = {"Content-Type": "text/plain; application/json"}
        assert web.post("/graphql", content=json.dumps(body), headers=text).status_code == 415
        for foreign in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "same-site"},
            {"Referer": "http://evil.example/"},
        ):
            assert web.post("/graphql", json=body, headers=foreign).status_code == 403
        rebound = {"Host": f"evil.example:{port}"}
        assert web.post("/graphql", json=body, headers=rebound).status_code == 421
        assert web.get("/", headers=rebound).status_code == 421
        path = "/report_asset_materialization/raw/x"
        assert web.post(path, params={"description": "forged"}).status_code == 415

        own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
        answer = web.post("/graphql", json=body, headers=own).json()
        assert answer["data"]["stopRunningSchedule"]["__typename"]
        page = web.get("/runs", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert web.get("/server_info").json()["dagster_version"]

    def upgrade(origin: str) -> int:
        return httpx.get(
            f"{url}/graphql",
            headers={
                "Origin": origin,
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Protocol": "graphql-ws",
            },
            trust_env=False,
        ).status_code

    assert upgrade("http://evil.example") == 403
    assert upgrade(url) == 101


def test_each_part_knows_the_secrets_that_it_needs(lake: Command) -> None:
    parts = lake.status()["parts"]

    def names(part: str) -> set[str]:
        return set(psutil.Process(parts[part]["pid"]).environ())

    secret = {
        *("AINATIVE_INTERNAL_API_KEY", "MINIO_SECRET_KEY", "PLATFORM_DATABASE_URL"),
        *("LAKE_DATABASE_URL", "LAKE_READER_SECRET_KEY", "LAKE_EXPORT_SECRET_KEY"),
    }
    for part in ("dagster-webserver", "dagster-daemon"):
        assert not names(part) & secret
        assert "DAGSTER_HOME" in names(part)
    assert names("dagster-code") & secret == {
        *("MINIO_SECRET_KEY", "PLATFORM_DATABASE_URL", "LAKE_DATABASE_URL"),
    }
    assert "PLATFORM_DATABASE_URL" not in names("api")


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


def take_port(lake: Command, part: str, port: int, eventually: Eventually) -> socket.socket:
    """End a part and listen on its port before it is there again."""
    for _ in range(5):
        state = read_part(lake, part)
        assert state.pid is not None
        psutil.Process(state.pid).kill()
        assert eventually(lambda: is_free(port) or read_part(lake, part).pid != state.pid)  # noqa: B023
        try:
            return socket.create_server((LOOPBACK, port))
        except OSError:
            assert eventually(lambda: not read_part(lake, part).is_down)
    raise AssertionError("the part was always faster")


def read_part(lake: Command, name: str) -> PartState:
    state = read_state(lake.home)
    assert state is not None
    return next(part for part in state.parts if part.name == name)


def test_a_part_whose_port_is_taken_waits_and_up_starts_it(
    lake: Command, eventually: Eventually
) -> None:
    before = lake.status()
    port = httpx.URL(before["s3_endpoint"]).port
    assert port is not None
    reason = f"s3 can't have port {port} back: another program listens there"
    with take_port(lake, "s3", port, eventually):
        assert eventually(lambda: read_part(lake, "s3").reason == reason)
        again = lake("up", "--detach")
        assert again.returncode == 1
        assert reason in again.stderr
        assert "`lake logs s3`" in again.stderr
        shown = lake("status").stdout
        assert "s3 ended by itself" in shown
        assert reason in shown
        waiting = read_part(lake, "s3")
        assert (waiting.is_down, waiting.attempts >= 2) == (True, True)

    again = lake("up")
    assert again.returncode == 0, again.stderr + again.stdout
    after = lake.status()
    assert (after["pid"], after["s3_endpoint"]) == (before["pid"], before["s3_endpoint"])
    assert {part["state"] for part in after["parts"].values()} == {"running"}
    assert httpx.get(after["s3_endpoint"], timeout=30).status_code == 403


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

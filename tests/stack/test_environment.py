"""What the environment of a machine may say: proxies, keys, search paths, limits."""

import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lake_api.stack.environment import with_direct_loopback, without_foreign
from lake_api.stack.process import child_environment
from tests.conftest import settings_of

DIRECT = "127.0.0.1,localhost,::1"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "grpc_proxy")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, DIRECT),
        ({"NO_PROXY": ""}, DIRECT),
        ({"NO_PROXY": "corp.example , .lan"}, f"corp.example,.lan,{DIRECT}"),
        ({"no_proxy": "corp.example", "NO_PROXY": ".lan"}, f".lan,corp.example,{DIRECT}"),
        ({"no_proxy": "localhost"}, "localhost,127.0.0.1,::1"),
        ({"no_proxy": "*", "NO_PROXY": ".lan"}, "*"),
    ],
)
def test_loopback_needs_no_proxy_whatever_else_needs_none(
    given: dict[str, str], expected: str
) -> None:
    env = with_direct_loopback(given)
    assert (env["NO_PROXY"], env["no_proxy"]) == (expected, expected)


def test_the_name_that_grpc_prefers_has_loopback_too() -> None:
    assert "127.0.0.1" in with_direct_loopback({"no_grpc_proxy": "corp"})["no_grpc_proxy"]


def test_variables_of_other_programs_do_not_reach_a_part() -> None:
    foreign = {
        "PYTHONPATH": "/x",
        "PYTHONHOME": "/x",
        "PYTHONWARNINGS": "error",
        "AWS_PROFILE": "x",
        "PGHOSTADDR": "10.0.0.1",
    }
    ours = {"PATH": "/bin", "HTTP_PROXY": "http://proxy:1", "AWS_CA_BUNDLE": "/ca", "LAKE_X": "1"}
    env = child_environment(foreign | ours)
    assert not set(foreign) & set(env)
    assert ours.items() <= env.items()


def test_libpqs_variables_stay_for_a_server_of_the_users_own() -> None:
    own = {"PLATFORM_DATABASE_URL": "postgresql://db.corp.example/app", "PGPASSWORD": "x"}
    assert without_foreign(own) == own


@dataclass
class Proxy:
    """A proxy that refuses, and counts who came."""

    port: int
    asked: list[bytes] = field(default_factory=list)


@contextmanager
def proxy() -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen = Proxy(port=server.getsockname()[1])

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.asked.append(connection.recv(65_536).split(b"\r\n")[0])
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield seen
        server.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)


CLIENTS = """
import os
import socket
from lake_assets.catalog import LakeLocation
from lake_assets.orchestration.resources import LakeResource
from lake_assets.sources.http import HttpPolicy, HttpSource
from lake_assets.storage.store import LakeStore
from lake_api.query.reader_store import open_small
import httpx
import obstore

location = LakeLocation.from_mapping(os.environ)
LakeStore(location).put_whole("raw/x", b"words")
LakeStore(location).open("raw/x").read()
obstore.get(open_small(location), "raw/x").bytes()
LakeResource(env=dict(os.environ)).s3_client().head_bucket(Bucket=location.bucket)
httpx.get(location.endpoint)

import grpc
from concurrent import futures
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
server.stop(None)
print("all answered")
try:
    HttpSource(policy=HttpPolicy())._client.get("http://source.example/rows")
except httpx.HTTPError:
    pass
print("outside was asked")
"""


def test_no_client_asks_a_proxy_for_loopback_and_outside_sources_do(bucket) -> None:
    with proxy() as seen:
        env = child_environment(
            {"PATH": os.environ["PATH"]}
            | dict.fromkeys(PROXIES, f"http://127.0.0.1:{seen.port}")
            | settings_of(bucket)
        )
        ended = subprocess.run(
            [sys.executable, "-c", CLIENTS], env=env, capture_output=True, text=True, check=False
        )
    assert ended.stdout.split("\n")[:2] == ["all answered", "outside was asked"], ended.stderr
    assert seen.asked == [b"GET http://source.example/rows HTTP/1.1"]


def test_the_command_starts_among_modules_of_others_and_odd_settings(tmp_path: Path) -> None:
    for name in ("click", "httpx", "psutil", "lake_assets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody else')")
    ended = subprocess.run(
        [sys.executable, "-m", "lake_api.cli", "status"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tmp_path),
            "PYTHONWARNINGS": "error",
            "PYTHONOPTIMIZE": "2",
            "ALL_PROXY": "socks5://127.0.0.1:9",
            "LAKE_STATE_DIR": str(tmp_path / "state"),
            "LC_ALL": "POSIX",
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "not run" in ended.stdout + ended.stderr


def test_a_low_limit_of_open_files_is_raised_as_far_as_it_goes() -> None:
    script = (
        "import resource; from lake_api.stack.environment import prepare_process;"
        "prepare_process(); print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128)),
    )
    assert ended.stdout.strip() == "(128, 128)"


REMOTE = """
import os
from contextlib import suppress
from lake_assets.catalog import LakeLocation
from lake_assets.orchestration.resources import LakeResource
from lake_assets.storage.store import LakeStore
from lake_api.exports.objects import ExportObjects
from lake_api.query.reader_store import open_small
import asyncio
import obstore

location = LakeLocation.from_mapping(os.environ)
for ask in (
    lambda: obstore.get(open_small(location), "obstore").bytes(),
    lambda: LakeStore(location).open("arrow"),
    lambda: LakeResource(env=dict(os.environ)).s3_client().head_object(
        Bucket=location.bucket, Key="boto3"
    ),
    lambda: asyncio.run(ExportObjects(location, link_location=location).delete("export")),
):
    with suppress(Exception):
        ask()
"""


def test_s3_elsewhere_is_asked_by_way_of_the_proxy_by_every_client() -> None:
    with proxy() as seen:
        env = child_environment(
            {
                "PATH": os.environ["PATH"],
                "HTTP_PROXY": f"http://127.0.0.1:{seen.port}",
                "MINIO_URL": "http://s3.corp.example:9000",
                "MINIO_ACCESS_KEY": "key",
                "MINIO_SECRET_KEY": "secret",
            }
        )
        subprocess.run([sys.executable, "-c", REMOTE], env=env, check=True)
    asked = b" ".join(seen.asked).decode()
    for client in ("obstore", "arrow", "boto3", "export"):
        assert f"http://s3.corp.example:9000/ainative-lake/{client}" in asked

"""The agent of `examples/`, with a model on loopback that follows a script."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lake_api.stack.s3 import S3Server
from tests.api.conftest import own_bucket
from tests.mcp.service_process import YESTERDAY, ServiceProcess, service_process

QUESTION = "Which agents ran yesterday?"

Turn = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def process(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with (
        own_bucket(s3) as bucket,
        service_process(bucket, tmp_path_factory.mktemp("service")) as started,
    ):
        yield started


@contextmanager
def scripted_model(turn: Turn) -> Iterator[str]:
    """A server of chat completions; `turn` makes each message from the request's body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            assert self.headers["Authorization"] == "Bearer model-key"
            message = {"role": "assistant", **turn(body)}
            content = json.dumps({"choices": [{"index": 0, "message": message}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(turn: Turn, process: ServiceProcess, root: Path) -> subprocess.CompletedProcess[str]:
    with scripted_model(turn) as url:
        return subprocess.run(
            [sys.executable, str(root / "examples/agent_loop.py"), QUESTION],
            env={
                "PATH": os.environ["PATH"],
                "LAKE_API_URL": process.url,
                "LAKE_TOKEN": process.mint("agent_run_log"),
                "OPENAI_BASE_URL": url,
                "OPENAI_API_KEY": "model-key",
                "OPENAI_MODEL": "scripted",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def calling(sql: str) -> dict[str, Any]:
    function = {"name": "lake_query", "arguments": json.dumps({"sql": sql})}
    return {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def test_a_model_corrects_itself_by_the_hint_and_answers_from_rows(
    process: ServiceProcess, project_root: Path
):
    bodies: list[dict[str, Any]] = []

    def turn(body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        last = body["messages"][-1]
        if last["role"] == "user":
            return calling("SELECT agent_id FROM agent_run_logs ORDER BY 1")
        told = json.loads(last["content"])
        if "hint" in told:
            [table] = re.findall(r"mean `?(\w+)", told["hint"])
            return calling(
                f"SELECT agent_id FROM {table} WHERE date = DATE '{YESTERDAY}' ORDER BY agent_id"
            )
        return {"content": ", ".join(name for (name,) in told["rows"])}

    done = ask(turn, process, project_root)
    assert (done.returncode, done.stdout) == (0, "aurora, sage\n"), done.stderr
    assert len(bodies) == 3
    [tool] = bodies[0]["tools"]
    assert tool["function"]["name"] == "lake_query"
    assert "agent_run_log" in tool["function"]["description"]
    # What the token may not read is not told.
    assert "platform_llm_token_usage" not in tool["function"]["description"]
    assert bodies[0]["messages"][-1]["content"] == QUESTION


def test_wrong_calls_are_told_to_the_model(process: ServiceProcess, project_root: Path):
    def call(name: str, arguments: str) -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return {"id": name, "type": "function", "function": function}

    def turn(body: dict[str, Any]) -> dict[str, Any]:
        told = [one["content"] for one in body["messages"] if one["role"] == "tool"]
        if told:
            return {"content": " ".join(json.loads(one)["detail"] for one in told)}
        return {"tool_calls": [call("drop_table", "{}"), call("lake_query", "{")]}

    done = ask(turn, process, project_root)
    assert done.stdout == "There is no such tool. The arguments are no JSON.\n", done.stderr


def test_a_model_that_never_answers_is_left(process: ServiceProcess, project_root: Path):
    done = ask(lambda _: calling("SELECT 1 AS one FROM agent_run_log"), process, project_root)
    assert done.returncode == 1
    assert "no answer after 8 turns" in done.stderr


def test_a_long_answer_is_cut_for_the_model(process: ServiceProcess, project_root: Path):
    def turn(body: dict[str, Any]) -> dict[str, Any]:
        last = body["messages"][-1]
        if last["role"] == "user":
            return calling("SELECT repeat('x', 900) AS x FROM range(100)")
        told = json.loads(last["content"])
        return {"content": f"{len(last['content']) <= 20_000} {told['note']}"}

    done = ask(turn, process, project_root)
    assert done.stdout == "True Only 12 rows are shown: aggregate in SQL.\n", done.stderr

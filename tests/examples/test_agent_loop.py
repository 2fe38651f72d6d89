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


def fault_of(tool: dict[str, Any]) -> str | None:
    """What OpenAI would refuse of a function tool."""
    function = tool["function"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", function["name"]):
        return "Invalid 'tools[0].function.name'."
    if len(function.get("description", "")) > 1024:
        return "Invalid 'tools[0].function.description': string too long."
    schema = function["parameters"]
    if function.get("strict") and (
        schema.get("additionalProperties") is not False
        or schema.get("required") != list(schema["properties"])
    ):
        return "Invalid schema for function: all fields must be required."
    return None if schema["type"] == "object" else "Invalid schema for function."


@contextmanager
def scripted_model(turn: Turn) -> Iterator[str]:
    """A server of chat completions; `turn` makes each message from the request's body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            if self.headers["Authorization"] != "Bearer model-key":
                return self._answer(401, {"error": {"message": "Incorrect API key provided."}})
            for tool in body["tools"]:
                if fault := fault_of(tool):
                    return self._answer(400, {"error": {"message": fault}})
            message = {"role": "assistant", **turn(body)}
            return self._answer(200, {"choices": [{"index": 0, "message": message}]})

        def _answer(self, status: int, told: dict[str, Any]) -> None:
            content = json.dumps(told).encode()
            self.send_response(status)
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


def ask(
    turn: Turn, process: ServiceProcess, root: Path, **more: str
) -> subprocess.CompletedProcess[str]:
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
                **more,
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
    assert "agent_run_log" in tool["function"]["parameters"]["properties"]["sql"]["description"]
    # What the token may not read is not told.
    assert "platform_llm_token_usage" not in json.dumps(tool)
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


def test_on_this_machine_no_token_is_needed(process: ServiceProcess, project_root: Path):
    def turn(body: dict[str, Any]) -> dict[str, Any]:
        last = body["messages"][-1]
        if last["role"] == "user":
            return calling(f"SELECT count(*) AS n FROM agent_run_log WHERE date = '{YESTERDAY}'")
        return {"content": str(json.loads(last["content"])["rows"][0][0])}

    done = ask(turn, process, project_root, LAKE_TOKEN="")
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("OPENAI_MODEL", "", r"OPENAI_MODEL is not set: it names the model that answers\."),
        ("OPENAI_API_KEY", "wrong", r"127\.0\.0\.1\S* answered 401: Incorrect API key provided\."),
        ("LAKE_TOKEN", "lake_agent_x", r"127\.0\.0\.1\S* answered 401: .+"),
        ("LAKE_API_URL", "http://127.0.0.1:9", r"127\.0\.0\.1 can't be reached: .+"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    process: ServiceProcess, project_root: Path, setting: str, value: str, line: str
):
    done = ask(lambda _: {"content": "never"}, process, project_root, **{setting: value})
    assert done.returncode == 1
    assert re.fullmatch(line, done.stderr.strip()), done.stderr

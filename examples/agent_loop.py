"""An agent that answers questions from the lake, in plain Python.

    export LAKE_API_URL=http://127.0.0.1:8000  LAKE_TOKEN=lake_agent_…   # none on this machine
    export OPENAI_BASE_URL=https://api.openai.com/v1  OPENAI_API_KEY=…  OPENAI_MODEL=…
    python examples/agent_loop.py "Which agent failed most often in the last 7 days?"

The lake describes its tool itself, for what the caller may read: at `GET …/lake/tool-definition` to
the holder of a token, over MCP to an agent inside the network, which needs none. Any server of
models that speaks chat completions with tools will do. Whatever the lake says goes back
to the model as it is: errors have a hint, with which a model corrects its SQL.
"""

import json
import os
import sys
from typing import Any

import httpx

LAKE = "/api/v1/internal/lake"
MAX_TURNS = 8
MAX_ANSWER_CHARS = 20_000
"""Of one tool call: a context window is shared by all turns."""

SYSTEM = "Answer from the data lake, with the numbers that it gave. Say so if it has no answer."


def answer(question: str, *, lake: httpx.Client, models: httpx.Client, model: str) -> str:
    """What the model says in the end.

    Raises:
        RuntimeError: it asked the lake again and again without coming to an end.
        httpx.HTTPError: the lake or the server of models can't be had.
    """
    tool = lake_tool(lake)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": question},
    ]
    for _ in range(MAX_TURNS):
        body = {"model": model, "messages": messages, "tools": [tool]}
        said = models.post("chat/completions", json=body)
        said.raise_for_status()
        message = said.json()["choices"][0]["message"]
        messages.append(message)
        if not message.get("tool_calls"):
            return message["content"]
        for call in message["tool_calls"]:
            content = run(call["function"], lake)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
    raise RuntimeError(f"no answer after {MAX_TURNS} turns")


def lake_tool(lake: httpx.Client) -> dict[str, Any]:
    """The tool `lake_query` as the caller sees it."""
    if "Authorization" in lake.headers:
        tool = lake.get(f"{LAKE}/tool-definition", params={"format": "openai"})
        tool.raise_for_status()
        return tool.json()
    listed = lake.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    listed.raise_for_status()
    [found] = [one for one in listed.json()["result"]["tools"] if one["name"] == "lake_query"]
    function = {"name": found["name"], "description": found["description"]}
    return {"type": "function", "function": {**function, "parameters": found["inputSchema"]}}


def run(function: dict[str, str], lake: httpx.Client) -> str:
    """One tool call: what the lake answers, or what was wrong with the call."""
    if function["name"] != "lake_query":
        return json.dumps({"detail": "There is no such tool.", "hint": "Use lake_query."})
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return json.dumps({"detail": "The arguments are no JSON.", "hint": "Send them again."})
    told = lake.post(f"{LAKE}/query", json=arguments).json()
    rows = told.get("rows", [])
    while len(json.dumps(told)) > MAX_ANSWER_CHARS and rows:
        del rows[len(rows) // 2 :]
        told["truncated"] = True
        told["note"] = f"Only {len(rows)} rows are shown: aggregate in SQL."
    return json.dumps(told)


def refused(response: httpx.Response) -> str:
    """Why a server refused, in one line."""
    try:
        told = response.json()
    except ValueError:
        told = {}
    reason = told.get("detail") or (told.get("error") or {}).get("message") or response.text
    hint = told.get("hint") or ""
    at = f"{response.url.host}{response.url.path}"
    return " ".join(f"{at} answered {response.status_code}: {reason} {hint}".split())[:500]


def main() -> None:
    """Ask what the command line says."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    env = os.environ
    if not env.get("OPENAI_MODEL"):
        raise SystemExit("OPENAI_MODEL is not set: it names the model that answers.")
    token = env.get("LAKE_TOKEN")
    lake = httpx.Client(
        base_url=env.get("LAKE_API_URL", "http://127.0.0.1:8000"),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=60,
    )
    models = httpx.Client(
        base_url=env.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        headers={"Authorization": f"Bearer {env.get('OPENAI_API_KEY', '')}"},
        timeout=120,
    )
    with lake, models:
        try:
            said = answer(sys.argv[1], lake=lake, models=models, model=env["OPENAI_MODEL"])
        except httpx.HTTPStatusError as error:
            raise SystemExit(refused(error.response)) from None
        except httpx.HTTPError as error:
            raise SystemExit(f"{error.request.url.host} can't be reached: {error}") from None
    print(said)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()

"""The service over HTTP, as the command line asks it.

Belongs here: requests, answers as the structs of their routes, errors as `CommandFailed`.
Does not belong here: printing an answer (`query`, `trigger`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import msgspec

from lake_api.cli.failure import CommandFailed
from lake_api.cli.patience import NoAnswer
from lake_api.cli.problem import ProblemAnswer
from lake_api.cli.running import require_running
from lake_api.errors import Problem
from lake_api.query.schemas import QueryAnswer
from lake_api.stack.state import StackState
from lake_api.tasks.schemas import TaskStatus, TriggerAnswer
from lake_api.tokens.schemas import NewToken, TokenInfo, TokenList

AGENT_ID = "lake-cli"

_LAKE = "/api/v1/internal/lake"
_TOKENS = f"{_LAKE}/tokens"

# A query may take 55 s, and may wait for its turn before.
_TIMEOUT = httpx.Timeout(90.0, connect=5.0)
_STATUS_HINT = "`lake status` shows what runs, `lake logs api` what the service says."

_Answer = TypeVar("_Answer")


class LakeClient:
    """One service. `key` is the internal API key, `dagster_url` the UI's; only tasks need them.

    With a `token`, its holder asks.
    """

    def __init__(
        self,
        *,
        api_url: str,
        key: str | None = None,
        token: str | None = None,
        dagster_url: str | None = None,
    ) -> None:
        self.api_url = api_url.rstrip("/")
        self.dagster_url = dagster_url
        headers = {"X-Agent-ID": AGENT_ID}
        if key:
            headers["X-Internal-API-Key"] = key
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            # A proxy on the way would make this agent an outsider.
            self._http = httpx.Client(
                base_url=self.api_url, headers=headers, timeout=_TIMEOUT, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise _bad_url(self.api_url) from error

    def __enter__(self) -> "LakeClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def query(self, sql: str, *, limit: int) -> tuple[QueryAnswer, bytes]:
        """The answer to a query, parsed and as it came."""
        body = {"sql": sql, "limit": limit}
        answer = self._send("POST", "/api/v1/internal/lake/query", body)
        return self._decode(answer, QueryAnswer), answer.content

    def trigger(self, task: str, kwargs: Mapping[str, str]) -> TriggerAnswer:
        """Launch a task."""
        body = {"task": task, "kwargs": dict(kwargs)}
        return self._decode(
            self._send("POST", "/api/v1/internal/tasks/trigger", body), TriggerAnswer
        )

    def task(self, task_id: str) -> TaskStatus:
        """How a task stands."""
        return self._decode(self._send("GET", f"/api/v1/internal/tasks/{task_id}"), TaskStatus)

    def create_token(self, wanted: Mapping[str, Any]) -> NewToken:
        """Make a token; its text is in this answer only."""
        return self._decode(self._send("POST", _TOKENS, wanted), NewToken)

    def tokens(self) -> TokenList:
        """The tokens that the caller may see."""
        return self._decode(self._send("GET", _TOKENS), TokenList)

    def revoke_token(self, token_id: str) -> TokenInfo:
        """Refuse a token from now on."""
        return self._decode(self._send("DELETE", f"{_TOKENS}/{token_id}"), TokenInfo)

    def ask(
        self,
        method: str,
        path: str,
        shape: type[_Answer],
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int | None] | None = None,
    ) -> tuple[_Answer, bytes]:
        """The answer of a route below `/api/v1/internal/lake`, parsed and as it came."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        answer = self._send(method, f"{_LAKE}{path}", body, given)
        return self._decode(answer, shape), answer.content

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body, params=params or None)
        except httpx.UnsupportedProtocol as error:
            raise _bad_url(self.api_url) from error
        except httpx.TimeoutException as error:
            raise NoAnswer(
                f"the service at {self.api_url} did not answer in time", hint=_STATUS_HINT
            ) from error
        except httpx.HTTPError as error:
            raise NoAnswer(
                f"the service at {self.api_url} does not answer", hint=_STATUS_HINT
            ) from error
        if answer.is_success:
            return answer
        raise ProblemAnswer(self._decode(answer, Problem), answer.content)

    def _decode(self, answer: httpx.Response, shape: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except msgspec.DecodeError as error:
            raise CommandFailed(
                f"what answers at {self.api_url} is not the lake's service "
                f"(HTTP {answer.status_code})",
                hint="`lake status` shows the URL of the one that runs here.",
            ) from error


def connect(api_url: str | None, *, admin: bool = False) -> LakeClient:
    """The service that was asked for, or the one that runs here; `admin` shows the key.

    All else is asked as the holder of `LAKE_TOKEN`, where that is set.

    Raises:
        CommandFailed: nothing runs, or there is no key to show.
    """
    token = os.environ.get("LAKE_TOKEN")
    if api_url is None:
        state = require_running()
        return connect_to(state) if admin else LakeClient(api_url=state.api_url, token=token)
    if token and not admin:
        return LakeClient(api_url=api_url, token=token)
    key = os.environ.get("AINATIVE_INTERNAL_API_KEY")
    if admin and not key:
        raise CommandFailed(
            "tasks need the internal API key of that service",
            hint="Set AINATIVE_INTERNAL_API_KEY to it.",
        )
    return LakeClient(api_url=api_url, key=key)


def connect_to(state: StackState) -> LakeClient:
    """The service of a stack, with its key."""
    key = _read_key(Path(state.internal_api_key_file))
    return LakeClient(api_url=state.api_url, key=key, dagster_url=state.dagster_url)


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CommandFailed(
            f"the key file {path} can't be read: {error.strerror}",
            hint="Run this as the user who ran `lake up`.",
        ) from error


def _bad_url(url: str) -> click.UsageError:
    return click.UsageError(f"{url!r} is no URL of a service; write it like http://127.0.0.1:8000")

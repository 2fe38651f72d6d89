"""Dagster's GraphQL as commands use it: with long deadlines, and with one launch per launch.

Belongs here: sending a document, repeating what is safe to repeat, finding what a launch started.
Does not belong here: what is launched (`backfill`, `demo_runs`); the service's client
(`lake_api.tasks.dagster`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx

from lake_api.cli.failure import CommandFailed
from lake_api.cli.text import visible
from lake_api.tasks.dagster import LAUNCH_BACKFILL, LAUNCH_RUN
from lake_api.tasks.launches import (
    LAUNCH_TAG,
    backfill_search,
    found_launch,
    new_launch_id,
    run_search,
)

_ANSWER_S = 60.0
_CONNECT_S = 10.0
_PATIENCE_S = 300.0
_PAUSE_S = 0.5
_PAUSE_AT_MOST_S = 5.0

_T = TypeVar("_T")


class DagsterHttp:
    """One Dagster webserver. `hint` is what somebody should do when it fails.

    A query is repeated until it is answered, a launch is sent once; both fail after
    `patience_s` without an answer.
    """

    def __init__(
        self,
        dagster_url: str,
        *,
        hint: str,
        patience_s: float = _PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._hint = hint
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=dagster_url,
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> "DagsterHttp":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a query; it is repeated while Dagster is too busy to answer.

        Raises:
            CommandFailed: Dagster did not answer in time, or refused.
        """
        return self._until(lambda: self._send(document, variables))

    def launch_run(
        self,
        selector: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Queue one run, with this run config, and return its id.

        Raises:
            CommandFailed: Dagster did not answer in time, or refused.
        """
        launch_id = new_launch_id()
        metadata = {"tags": _tags({**tags, LAUNCH_TAG: launch_id})}
        params = {
            "selector": dict(selector),
            "runConfigData": dict(config or {}),
            "executionMetadata": metadata,
        }
        data = self._launch(LAUNCH_RUN, params, run_search(launch_id), launch_id)
        if isinstance(data, str):
            return data
        return self._accepted(data["launchRun"], "LaunchRunSuccess")["run"]["runId"]

    def launch_backfill(
        self, asset_key: Sequence[str], days: Sequence[str], tags: Mapping[str, str]
    ) -> str:
        """Begin one backfill of an asset and return its id.

        Raises:
            CommandFailed: Dagster did not answer in time, or refused.
        """
        launch_id = new_launch_id()
        params = {
            "assetSelection": [{"path": list(asset_key)}],
            "partitionNames": list(days),
            "tags": _tags({**tags, LAUNCH_TAG: launch_id}),
        }
        data = self._launch(LAUNCH_BACKFILL, params, backfill_search(), launch_id)
        if isinstance(data, str):
            return data
        return self._accepted(data["launchPartitionBackfill"], "LaunchBackfillSuccess")[
            "backfillId"
        ]

    def _launch(
        self,
        document: str,
        params: Mapping[str, Any],
        search: tuple[str, Mapping[str, Any]],
        launch_id: str,
    ) -> dict[str, Any] | str:
        """The answer to a launch, or the id of what it started where the answer was lost."""

        def launched() -> dict[str, Any] | str:
            try:
                return self._send(document, {"params": params})
            except (httpx.ConnectError, httpx.ConnectTimeout):
                raise  # nothing was sent, so that it may be sent again
            except httpx.HTTPError:
                return self._until(found)

        def found() -> str:
            run_or_backfill = found_launch(self._send(*search), launch_id)
            if run_or_backfill is None:
                raise httpx.ReadTimeout("the launch has not shown up yet")
            return run_or_backfill

        return self._until(launched)

    def _until(self, attempt: Callable[[], _T]) -> _T:
        deadline = time.monotonic() + self._patience_s
        pause_s = _PAUSE_S
        while True:
            try:
                return attempt()
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise CommandFailed(
                        f"Dagster has not answered for {self._patience_s:.0f} s", hint=self._hint
                    ) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_AT_MOST_S)

    def _send(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._http.post("/graphql", json={"query": document, "variables": variables})
        try:
            body: dict[str, Any] = answer.json()
        except ValueError as error:
            raise CommandFailed(
                f"what answers at {self._http.base_url} is not Dagster (HTTP {answer.status_code})",
                hint=self._hint,
            ) from error
        if body.get("errors"):
            message = visible(body["errors"][0]["message"])
            raise CommandFailed(f"Dagster: {message}", hint=self._hint)
        return body["data"]

    def _accepted(self, result: dict[str, Any], success: str) -> dict[str, Any]:
        if result["__typename"] == success:
            return result
        errors: list[dict[str, str]] = result.get("errors") or [result]
        why = visible(errors[0].get("message") or result["__typename"])
        raise CommandFailed(f"Dagster refused the launch: {why}", hint=self._hint)


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]

"""Making tokens, and asking with them from outside."""

from typing import Any

import httpx

from tests.api.conftest import ADMIN, QUERY

TOKENS = "/api/v1/internal/lake/tokens"
USAGE = "/api/v1/internal/lake/usage"
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}
SQL = {"sql": "SELECT agent_id FROM agent_run_log"}


class Asker:
    """Asks one service."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def make(self, by: str | None = None, **body: Any) -> dict[str, Any]:
        body = {"kind": "agent", "name": "aurora", **body}
        headers = ADMIN if by is None else bearer(by)
        answer = self.client.post(TOKENS, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def query(self, token: str, **headers: str) -> httpx.Response:
        return self.client.post(QUERY, json=SQL, headers={**bearer(token), **headers})

    def usage(self, token: str, **params: Any) -> httpx.Response:
        return self.client.get(USAGE, headers=bearer(token), params=params)

    def limits(self, token: str) -> dict[tuple[str, str], dict[str, Any]]:
        answer = self.usage(token)
        assert answer.status_code == 200, answer.text
        return {(one["limit"], one["of"]): one for one in answer.json()["limits"]}


def bearer(token: str) -> dict[str, str]:
    return {**OUTSIDE, "Authorization": f"Bearer {token}"}

"""MCP clients as the official library makes them, over the service of the HTTP tests."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError
from mcp.types import CallToolResult, TextContent

from tests.api.conftest import (  # noqa: F401 - fixtures
    ADMIN,
    Service,
    catalog,
    open_lake,
    open_service,
    service,
    shared_service,
    start_lake,
    start_service,
)

_Answer = TypeVar("_Answer")


@asynccontextmanager
async def mcp_session(url: str, headers: Mapping[str, str]) -> AsyncGenerator[ClientSession]:
    async with (
        httpx.AsyncClient(headers=dict(headers), trust_env=False, timeout=60) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (reading, writing, _),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        yield session


@dataclass(frozen=True)
class McpClient:
    """An MCP client with these headers; each call is a session of its own."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def run(self, steps: Callable[[ClientSession], Awaitable[_Answer]]) -> _Answer:
        async def connected() -> _Answer | McpError:
            async with mcp_session(self.url, self.headers) as session:
                try:
                    return await steps(session)
                except McpError as error:
                    # Raised in here, it would leave as a group of groups.
                    return error

        answer = asyncio.run(connected())
        if isinstance(answer, McpError):
            raise answer
        return answer

    def tools(self) -> dict[str, Any]:
        listed = self.run(lambda session: session.list_tools())
        return {tool.name: tool for tool in listed.tools}

    def call(self, name: str, /, **arguments: Any) -> tuple[bool, dict[str, Any]]:
        """Whether the tool failed, and what it said."""
        return said(self.run(lambda session: session.call_tool(name, arguments)))


def said(result: CallToolResult) -> tuple[bool, dict[str, Any]]:
    [content] = result.content
    assert isinstance(content, TextContent)
    return result.isError, msgspec.json.decode(content.text)


@pytest.fixture
def client(service: Service) -> McpClient:  # noqa: F811
    return McpClient(str(service.client.base_url))


@pytest.fixture
def mint(service: Service) -> Callable[..., Mapping[str, str]]:  # noqa: F811
    """Headers with a new token of an agent."""

    def minted(*datasets: str, operations: tuple[str, ...] = ("query",)) -> Mapping[str, str]:
        answer = service.client.post(
            "/api/v1/internal/lake/tokens",
            json={
                "kind": "agent",
                "name": "limited",
                "datasets": datasets or ["*"],
                "operations": operations,
            },
            headers=ADMIN,
        )
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    return minted

"""A crowd that sends long queries without a pause, and one honest caller beside it.

Belongs here: sending, and what each call ended with.
Does not belong here: the service that is asked, what is expected of it.
"""

import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

QUERY = "/api/v1/internal/lake/query"
LONG = (
    "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b "
    "WHERE (a.range * b.range) % 1000 = {number}"
)
"""Reads no stored byte, and takes hours."""

_PAUSE_S = 0.1
_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: seconds, status, the error's code and detail (empty for an answer)."""

    took_s: float
    status: int
    code: str = ""
    detail: str = ""
    retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the honest caller and the crowd had."""

    honest: Sequence[Call]
    crowd: Sequence[Call]

    def honest_s(self, share: float) -> float:
        """The seconds within which this share of the honest calls ended."""
        ordered = sorted(call.took_s for call in self.honest)
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]

    @property
    def endings(self) -> Mapping[str, int]:
        """How often the crowd's calls ended with each code."""
        return Counter(call.code or "answered" for call in self.crowd)


async def run_crowd(
    base_url: str,
    *,
    honest: Mapping[str, str],
    members: Sequence[Mapping[str, str]],
    honest_sql: str,
    seconds: float,
    is_rotating: bool = False,
) -> Outcome:
    """Let the crowd and the honest caller ask for some seconds; every call is awaited to its end.

    Args:
        base_url: The service.
        honest: Headers of the honest caller.
        members: Headers of each member of the crowd.
        honest_sql: A text with `{number}`, so that no answer is from memory.
        seconds: For how long new calls begin.
        is_rotating: Whether members name another agent with each call.
    """
    calls: list[Call] = []
    limits = httpx.Limits(max_connections=len(members) + 1)
    end = time.monotonic() + seconds
    async with httpx.AsyncClient(
        base_url=base_url, timeout=90, trust_env=False, limits=limits
    ) as client:

        async def member(headers: Mapping[str, str]) -> None:
            while time.monotonic() < end:
                own = {"X-Agent-ID": f"agent-{next(_numbers)}"} if is_rotating else {}
                call = await _ask(client, LONG, {**headers, **own})
                calls.append(call)
                if call.took_s < _PAUSE_S:
                    await asyncio.sleep(_PAUSE_S)

        async def caller() -> list[Call]:
            mine: list[Call] = []
            while time.monotonic() < end:
                mine.append(await _ask(client, honest_sql, honest))
                await asyncio.sleep(_PAUSE_S)
            return mine

        running = [asyncio.create_task(member(headers)) for headers in members]
        await asyncio.sleep(1)
        answered = await caller()
        await asyncio.gather(*running)
    return Outcome(honest=answered, crowd=calls)


async def _ask(client: httpx.AsyncClient, sql: str, headers: Mapping[str, str]) -> Call:
    started = time.monotonic()
    text = sql.replace("{number}", str(next(_numbers)))
    answer = await client.post(QUERY, json={"sql": text}, headers=headers)
    took_s = time.monotonic() - started
    body = answer.json()
    # The contract answers a query that could not be run with 200, and the error inside.
    error = body.get("error") or (body if "code" in body else {})
    return Call(
        took_s=took_s,
        status=answer.status_code,
        code=error.get("code", ""),
        detail=f"{error.get('detail', '')} {error.get('hint') or ''}".strip(),
        retry=bool(error.get("retry")),
    )

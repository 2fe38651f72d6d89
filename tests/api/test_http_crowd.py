"""An honest caller beside a crowd that sends long queries, on real workers."""

import asyncio
from typing import Any

import pytest

from tests.api.conftest import ADMIN
from tests.api.crowd import run_crowd
from tests.api.real_lake import RealLake

TOKENS = "/api/v1/internal/lake/tokens"
HONEST = "SELECT count(*) AS n FROM range(1000) t WHERE range > {number}"
MEMBERS = 8


def token(lake: RealLake, *, maker: dict[str, str] = ADMIN, **body: Any) -> dict[str, str]:
    answer = lake.client.post(TOKENS, json=body, headers=maker)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@pytest.mark.parametrize(
    ("is_swarm", "light", "heavy"),
    [(True, "2", "1"), (False, "1", "1"), (True, "1", "0")],
    ids=["a swarm", "a peer with a new name for each call", "a swarm, one worker"],
)
def test_an_honest_caller_is_served_beside_a_crowd(
    start_lake: Any, is_swarm: bool, light: str, heavy: str
) -> None:
    lake = start_lake(
        LAKE_QUERY_WORKERS=light,
        LAKE_HEAVY_WORKERS=heavy,
        LAKE_HEAVY_AFTER_S="1",
        LAKE_QUERY_TIMEOUT_S="5",
    )
    honest = token(lake, kind="agent", name="honest")
    members: list[dict[str, str]] = [{}] * MEMBERS
    if is_swarm:
        swarm = token(lake, kind="swarm", name="crowd")
        members = [
            token(lake, maker=swarm, kind="agent", name=f"member-{number}")
            for number in range(MEMBERS)
        ]
    outcome = asyncio.run(
        run_crowd(
            str(lake.client.base_url),
            honest=honest,
            members=members,
            honest_sql=HONEST,
            seconds=3,
            is_rotating=not is_swarm,
        )
    )
    assert [call for call in outcome.honest if call.code] == []
    assert outcome.honest_s(1) < 5
    # Each call of the crowd ends in time and is told what happened to it.
    assert len(outcome.crowd) >= MEMBERS
    for call in outcome.crowd:
        assert call.took_s < 8
        assert call.code in {"query_timeout", "too_busy"}
        if call.code == "too_busy" and "The query ran" in call.detail:
            assert call.retry
            assert "gave up its worker to queries of other callers" in call.detail
            assert "/api/v1/internal/lake/jobs" in call.detail
    assert outcome.endings["query_timeout"]
    assert any("The query ran" in call.detail for call in outcome.crowd)

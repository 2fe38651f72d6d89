"""The faults that every collector must survive or name, as plans for its fake."""

from collections.abc import Callable, Sequence

from tests.fakes import base
from tests.fakes.base import Fault, Reply
from tests.sources.conftest import Collecting

_TIMEOUT_S = 0.5

PASSING: dict[str, Callable[[Reply], Reply]] = {
    "429 with Retry-After": base.status(429, retry_after="1"),
    "429 without": base.status(429),
    "500": base.status(500),
    "503": base.status(503),
    "truncated body": base.truncated,
    "body cut short": base.cut_short,
    "slow body": base.slow(1.5 * _TIMEOUT_S),
}
"""After these a run ends as if nothing had happened."""

LASTING = (base.html, "HTML page instead of data")
"""This fails the run at once, with these words; as others do, which `test_http` has."""


def trouble(lake: Collecting, *places: str, skip: int = 0) -> Sequence[Fault]:
    """Plans every passing fault, one after the other, at each of the places.

    One run goes through them all, with as many attempts as that takes.
    """
    plans = [
        lake.fake.break_with(spoil, where=place, skip=skip)
        for place in places
        for spoil in PASSING.values()
    ]
    lake.env["LAKE_HTTP_TIMEOUT_S"] = str(_TIMEOUT_S)
    lake.env["LAKE_HTTP_ATTEMPTS"] = str(len(plans) + 3)
    return plans


def are_over(plans: Sequence[Fault]) -> bool:
    """Whether every one of the faults was met."""
    return not any(plan.times for plan in plans)

"""The faults that every collector must survive or name, as plans for its fake."""

from collections.abc import Callable

from tests.fakes import base
from tests.fakes.base import Reply

PASSING: dict[str, Callable[[Reply], Reply]] = {
    "429 with Retry-After": base.status(429, retry_after="1"),
    "429 without": base.status(429),
    "500": base.status(500),
    "503": base.status(503),
    "truncated body": base.truncated,
    "body cut short": base.cut_short,
    "slow body": base.slow(1.5),
}
"""After these a run ends as if nothing had happened. (Slow is beyond the test's timeout of 1 s.)"""

LASTING: dict[str, tuple[Callable[[Reply], Reply], str]] = {
    "HTML with 200": (base.html, "HTML page instead of data"),
    "redirect": (base.redirect, "redirects are not followed"),
    "403": (base.status(403, text="no"), "check the key"),
}
"""These fail the run at once, with these words."""

"""All fakes at once, until they are ended: `python -m tests.fakes [--state FILE]`.

The first line of output is a JSON object with the settings that point collectors at them. What the
fakes show follows the real date, over midnight too, so that a run for today finds something.
"""

import argparse
import json
import os
import signal
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from tests.fakes.base import Fake
from tests.fakes.cdtfa import FakeCdtfa
from tests.fakes.census import FakeCensus
from tests.fakes.chatwoot import FakeChatwoot
from tests.fakes.dealroom import FakeDealroom
from tests.fakes.edd import FakeEdd
from tests.fakes.email_events import FakePostmark
from tests.fakes.fred import FakeFred
from tests.fakes.github import FakeGithub
from tests.fakes.irs import FakeIrs
from tests.fakes.kong import FakeKong
from tests.fakes.luma import FakeLuma
from tests.fakes.packages import FakePackages
from tests.fakes.sec import FakeSec
from tests.fakes.slack import FakeSlack
from tests.fakes.stripe import FakeStripe
from tests.fakes.usaspending import FakeUsaspending

FAKES: tuple[type[Fake], ...] = (
    FakeEdd,
    FakeFred,
    FakePackages,
    FakeGithub,
    FakeChatwoot,
    FakeStripe,
    FakeKong,
    FakeDealroom,
    FakeIrs,
    FakeCdtfa,
    FakeUsaspending,
    FakeSlack,
    FakePostmark,
    FakeLuma,
    FakeSec,
    FakeCensus,
)


_LOOK_S = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--state",
        type=Path,
        help="file that is told process id, ports and settings, and has the ports of last time",
    )
    state: Path | None = parser.parse_args().state
    ending = {signal.SIGINT, signal.SIGTERM}
    # Threads of the servers inherit this, so that the signals reach nobody but `sigtimedwait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    ports = remembered_ports(state)
    day = datetime.now(tz=UTC).date()
    fakes = started(day, ports)
    settings: dict[str, str] = {}
    for fake in fakes:
        settings |= fake.env
    if state is not None:
        told = {"pid": os.getpid(), "ports": ports, "settings": settings}
        draft = state.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(told))
        draft.replace(state)
    print(json.dumps(settings), flush=True)  # noqa: T201 - what the starter reads
    while signal.sigtimedwait(ending, _LOOK_S) is None:
        if day != datetime.now(tz=UTC).date():
            day = datetime.now(tz=UTC).date()
            stop(fakes)
            fakes = started(day, ports)
    stop(fakes)


def started(day: date, ports: dict[str, int]) -> Sequence[Fake]:
    """All fakes as they are on a day, each on its port in `ports`, or on a free one."""
    fakes: list[Fake] = []
    for kind in FAKES:
        fake = kind(day)
        try:
            fake.start(ports.get(kind.__name__, 0))
        except OSError:  # somebody took the port since last time
            fake.start(0)
        ports[kind.__name__] = fake.port
        fakes.append(fake)
    return fakes


def remembered_ports(state: Path | None) -> dict[str, int]:
    """The ports of last time, so that settings that were handed out stay true."""
    if state is None or not state.exists():
        return {}
    return json.loads(state.read_text())["ports"]


def stop(fakes: Sequence[Fake]) -> None:
    for fake in fakes:
        fake.stop()


if __name__ == "__main__":
    main()

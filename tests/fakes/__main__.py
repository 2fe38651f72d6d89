"""All fakes at once, until they are ended: `python -m tests.fakes [--first-port N]`.

The first line of output is a JSON object with the settings that point collectors at them. Pages of
a fake follow the real date, so that a run for today finds something.
"""

import argparse
import json
import signal
from datetime import UTC, datetime

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-port", type=int, default=0, help="0 takes any free ports")
    first = parser.parse_args().first_port
    today = datetime.now(tz=UTC).date()
    fakes = [fake(today).start(first + place if first else 0) for place, fake in enumerate(FAKES)]
    settings: dict[str, str] = {}
    for fake in fakes:
        settings |= fake.env
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    print(json.dumps(settings), flush=True)  # noqa: T201 - what the starter reads
    signal.sigwait(ending)
    for fake in fakes:
        fake.stop()


if __name__ == "__main__":
    main()

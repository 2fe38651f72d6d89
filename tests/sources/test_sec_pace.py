"""Ten requests a second in total: what EDGAR counts, whoever asks."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta

import pytest

from lake_assets.catalog import load_catalog
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of
from tests.fakes.base import Fake, running
from tests.fakes.sec import FakeSec
from tests.fakes.sec_documents import day_of
from tests.sources.conftest import TODAY

FORM_D = "external/scc/sec_form_d"


def busiest_second(fake: Fake) -> int:
    """Most requests within any one second, by the fake's clock."""
    moments = sorted(request.at for request in fake.requests)
    return max(sum(at <= other < at + 1 for other in moments) for at in moments)


@contextmanager
def backfill(env: dict[str, str], first: date, last: date) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, about to begin."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.sources.backfill_process", FORM_D, f"{first}", f"{last}"],
        env={"PATH": os.environ["PATH"]} | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def both(env: dict[str, str], spans: Sequence[tuple[date, date]]) -> Sequence[int]:
    """The exit codes of two backfills that begin together."""
    with backfill(env, *spans[0]) as one, backfill(env, *spans[1]) as other:
        runs = (one, other)
        for run in runs:
            assert run.stdin is not None
            run.stdin.write("\n")
            run.stdin.flush()
        return [run.wait(timeout=600) for run in runs]


@pytest.fixture
def fake() -> Iterator[FakeSec]:
    """One that blocks who asks more than ten times a second, as EDGAR does."""
    with running(FakeSec(limit_per_s=10)) as fake:
        assert isinstance(fake, FakeSec)
        yield fake


def moments(fake: Fake, span: tuple[date, date]) -> Sequence[float]:
    """When the notices of these days were asked for."""
    asked = fake.asked("primary_doc.xml")
    return [
        request.at for request in asked if span[0] <= day_of(request.path.split("/")[-2]) <= span[1]
    ]


def test_two_backfills_at_once_stay_below_ten_requests_a_second(fake, bucket, tmp_path):
    last = TODAY - timedelta(days=3)
    week = timedelta(days=7)
    spans = [(last - 2 * week, last - week - timedelta(days=1)), (last - week, last)]
    env = settings_of(bucket) | dict(fake.env) | {"DAGSTER_HOME": str(tmp_path)}
    del env["SEC_REQUESTS_PER_S"]  # the default is what is judged

    assert both(env, spans) == [0, 0]

    assert len(LakeStore(bucket).days(load_catalog()[FORM_D])) == 15
    one, other = (moments(fake, span) for span in spans)
    assert max(one[0], other[0]) < min(one[-1], other[-1]), "they were not at once"
    assert busiest_second(fake) <= 10
    assert fake.blocked == 0

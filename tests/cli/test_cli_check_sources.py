"""`lake check-sources` as a person runs it, against a stand-in."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lake_api.stack.state import StackState, write_state
from tests.cli.conftest import lake
from tests.fakes import base
from tests.fakes.fred import KEY, FakeFred


@pytest.fixture
def fred(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFred]:
    # The command asks for what there is by today.
    with base.running(FakeFred(datetime.now(UTC).date())) as fake:
        assert isinstance(fake, FakeFred)
        for name, value in {**fake.env, "LAKE_HTTP_ATTEMPTS": "1"}.items():
            monkeypatch.setenv(name, value)
        yield fake


def test_a_source_as_expected_is_told_and_the_exit_code_is_0(fred: FakeFred):
    result = lake("check-sources", "--source", "fred")

    assert result.exit_code == 0, result.output
    assert "external/scc/fred_indicators" in result.stdout
    assert "comes, but is not read: " in result.stdout
    assert 1 <= len(fred.requests) <= 3


def test_drift_is_told_field_by_field_and_the_exit_code_is_1(fred: FakeFred):
    for _ in range(2):
        fred.break_with(
            base.rewritten(lambda page: page["observations"][0].pop("realtime_start")),
            where="observations",
        )

    result = lake("check-sources", "--source", "fred")
    assert result.exit_code == 1
    assert "missing observations[].realtime_start" in result.stdout

    result = lake("check-sources", "--source", "fred", "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)
    assert finding["state"] == "drift"
    assert finding["missing"] == ["observations[].realtime_start"]
    assert KEY not in result.output


def test_a_source_that_refuses_is_one_line_without_the_key(fred: FakeFred):
    fred.break_with(base.status(403, text=f"no {KEY}"), times=9)

    result = lake("check-sources", "--source", "fred")

    assert result.exit_code == 1
    assert "check the key and what it may do" in result.stdout
    assert KEY not in result.output


def test_a_source_without_its_key_names_it_and_is_no_failure(
    fred: FakeFred, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FRED_API_KEY")

    result = lake("check-sources", "--source", "fred")

    assert result.exit_code == 0
    assert "FRED (St. Louis Fed) is not configured: set FRED_API_KEY" in result.stdout
    assert fred.requests == []


def test_the_settings_of_the_running_stack_are_used(
    fred: FakeFred, running: StackState, monkeypatch: pytest.MonkeyPatch, home
):
    for name in fred.env:
        monkeypatch.delenv(name)
    settings = {**running.settings, **fred.env}
    parts = {name: getattr(running, name) for name in running.__dataclass_fields__}
    write_state(home, StackState(**{**parts, "settings": settings}))

    result = lake("check-sources", "--source", "fred", "--json")

    assert json.loads(result.stdout)[0]["state"] == "ok"
    status = json.loads(lake("status", "--json").stdout)["sources"]
    assert [name for name, source in status.items() if source["configured"]] == [
        # These want no key.
        *("edd", "fred", "irs", "cdtfa", "usaspending"),
    ]
    assert status["github"]["missing"] == ["GITHUB_TOKEN", "GITHUB_REPOS"]
    shown = lake("status").stdout
    assert "GitHub is not configured: set GITHUB_TOKEN, GITHUB_REPOS" in " ".join(shown.split())
    assert KEY not in shown


def test_a_source_that_does_not_exist_is_explained():
    result = lake("check-sources", "--source", "fredd")

    assert result.exit_code == 1
    assert "Did you mean `fred`" in result.stderr

"""The live check against sources that are as expected, that drifted, and that don't answer."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from lake_assets.catalog import ExternalSource, load_catalog
from lake_assets.sources.check import check, check_all
from lake_assets.sources.collect import collector_of
from lake_assets.sources.config import UPSTREAMS
from tests.fakes import base
from tests.fakes.__main__ import FAKES
from tests.fakes.base import TODAY, Fake
from tests.fakes.edd import FakeEdd
from tests.fakes.fred import KEY, FakeFred

CATALOG = load_catalog()
EXTERNAL = [
    dataset
    for dataset in CATALOG
    if isinstance(dataset.source, ExternalSource) and dataset.source.collect
]
NOW = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
FRED = CATALOG["external/scc/fred_indicators"]
EDD = CATALOG["external/scc/edd_labor"]
QUICK = {"LAKE_HTTP_ATTEMPTS": "1"}


@pytest.fixture(scope="module")
def everything() -> Iterator[Mapping[str, str]]:
    """The settings that lead to all fakes."""
    env: dict[str, str] = {}
    with ExitStack() as stack:
        for kind in FAKES:
            env |= stack.enter_context(base.running(kind(TODAY))).env
        yield env


@pytest.fixture
def start() -> Iterator[object]:
    with ExitStack() as stack:
        yield lambda fake: stack.enter_context(base.running(fake))


def checked(dataset, fake: Fake, *, now: datetime = NOW):
    return check(dataset, fake.env | QUICK, now=now)


@pytest.mark.parametrize("dataset", EXTERNAL, ids=lambda each: each.partition)
def test_a_source_as_expected_is_ok_and_is_asked_gently(everything, dataset):
    finding = check(dataset, everything, now=NOW)

    assert (finding.state, finding.missing, finding.retyped) == ("ok", [], []), finding
    assert 1 <= finding.requests <= collector_of(dataset).check_requests <= 5


def test_fields_that_are_not_read_are_told_and_are_no_fault(start):
    fred = start(FakeFred())
    fred.break_with(
        base.rewritten(lambda page: page["observations"][0].update(footnote="p")),
        where="observations",
    )

    finding = checked(FRED, fred)

    assert finding.state == "ok"
    assert "observations[].footnote" in finding.new
    assert "observations[].value" not in finding.new
    assert finding.rows > 0


@pytest.mark.parametrize("month", [1, 7, 11])
def test_the_stand_in_has_observations_all_year(start, month):
    noon = datetime(2027, month, 1, 12, tzinfo=UTC)

    finding = checked(FRED, start(FakeFred(noon.date())), now=noon)

    assert finding.rows > 0, finding


def test_drift_of_a_document_is_told_field_by_field(start):
    fred = start(FakeFred())

    def drift(page) -> None:
        for observation in page["observations"]:
            del observation["realtime_start"]
            observation["value"] = 4.5
        page["total"] = page.pop("count")

    fred.break_with(base.rewritten(drift), where="observations")

    finding = checked(FRED, fred)

    assert finding.state == "drift"
    assert finding.missing == ["count", "observations[].realtime_start"]
    assert finding.retyped == ["observations[].value: Expected `str`, got `float`"]
    assert "total" in finding.new
    assert KEY not in str(finding)


@pytest.mark.parametrize(
    ("change", "missing", "retyped"),
    [
        (lambda row: row.pop("Labor Force"), ["Labor Force"], []),
        (
            lambda row: row.update({"Labor Force": "many"}),
            [],
            ["Labor Force: `Labor Force` is no number: 'many'"],
        ),
    ],
)
def test_drift_of_a_table_is_told_by_its_column(start, change, missing, retyped):
    edd = start(FakeEdd())
    edd.break_with(
        base.rewritten(lambda found: [change(row) for row in found["result"]["records"]]),
        where="filters",
        times=9,
    )

    finding = checked(EDD, edd)

    assert (finding.state, finding.missing, finding.retyped) == ("drift", missing, retyped)


@pytest.mark.parametrize(
    ("spoil", "state", "says"),
    [
        (base.html, "refused", "HTML page instead of data"),
        (base.redirect, "refused", "redirects are not followed"),
        (base.status(403, text="no"), "refused", "check the key"),
        (base.status(503), "unreachable", "HTTP 503: busy"),
        (base.status(429, retry_after="3600"), "unreachable", "HTTP 429"),
        (base.truncated, "unreachable", "no whole answer"),
    ],
)
def test_a_source_that_refuses_or_does_not_answer_is_one_line(start, spoil, state, says):
    fred = start(FakeFred())
    fred.break_with(spoil, times=99)

    finding = checked(FRED, fred)

    assert finding.state == state
    assert says in finding.reason
    assert "\n" not in finding.reason
    assert KEY not in finding.reason


def test_a_source_that_is_not_there_is_unreachable():
    env = {"FRED_BASE_URL": "http://127.0.0.1:9", "FRED_API_KEY": KEY, **QUICK}

    assert check(FRED, env, now=NOW).state == "unreachable"


@pytest.mark.parametrize(
    "dataset",
    [each for each in EXTERNAL if collector_of(each).check_requests == 1],
    ids=lambda each: each.partition,
)
def test_a_source_that_is_asked_once_and_is_not_there_is_unreachable(dataset):
    """The second attempt is one request too many: that ended the check as `ok`."""
    name = f"{collector_of(dataset).upstream.name.upper()}_BASE_URL"

    finding = check(dataset, {name: "http://127.0.0.1:9"}, now=NOW)

    assert (finding.state, finding.requests) == ("unreachable", 1)
    assert "Connection refused" in finding.reason


def test_a_source_without_its_key_is_not_asked_and_names_it(start):
    fred = start(FakeFred())

    finding = check(FRED, {**fred.env, "FRED_API_KEY": ""}, now=NOW)

    assert finding.state == "not configured"
    assert finding.reason == "FRED (St. Louis Fed) is not configured: set FRED_API_KEY"
    assert fred.requests == []


def test_all_sources_are_checked_in_their_order_or_only_those_named():
    offline = {
        setting.name: "http://127.0.0.1:9"
        for upstream in UPSTREAMS
        for setting in upstream.settings
        if setting.name.endswith("_BASE_URL")
    }

    found = list(check_all(EXTERNAL, offline | QUICK, now=NOW, sources=frozenset()))
    some = list(check_all(EXTERNAL, offline | QUICK, now=NOW, sources=frozenset({"sec"})))

    order = [upstream.name for upstream in UPSTREAMS]
    assert sorted({each.dataset for each in found}) == sorted(each.partition for each in EXTERNAL)
    assert [each.source for each in found] == sorted(
        (each.source for each in found), key=order.index
    )
    assert len(some) == 3
    assert {each.source for each in some} == {"sec"}

import json
import tracemalloc
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice

import pytest

from lake_assets.sources import config, sec_xbrl
from lake_assets.sources.client import http_source
from lake_assets.sources.collect import Ask
from tests.fakes import base
from tests.fakes.sec import CHIPS, FakeSec
from tests.sources.conftest import TODAY, failure, metadata
from tests.sources.faults import LASTING, are_over, trouble
from tests.sources.stored import stored_bytes

FRIDAY = TODAY - timedelta(days=3)
OCTOBER = date(2026, 10, 21)


@pytest.fixture
def xbrl(collecting):
    return collecting("external/scc/sec_xbrl", FakeSec())


def said(rows):
    names = ("concept", "unit", "value", "period_start", "period_end", "filed_date", "frame")
    return [tuple(row[name] for name in names) for row in rows]


def expected(day):
    end, value = day - timedelta(days=30), float(day.toordinal())
    shares, assets, revenues = (
        "EntityCommonStockSharesOutstanding",
        "Assets",
        "Revenues",
    )
    return [
        (shares, "shares", 12345678901234568.0, None, end, day, None),
        (assets, "USD", 1_000_000.0, None, date(2025, 12, 31), day, None),
        (assets, "USD", value, None, end, day, "CY2026Q3I"),
        (revenues, "USD", value * 2.5, date(2026, 1, 1), end, day, None),
        (revenues, "USD", value, date(2026, 7, 1), end, day, None),
    ]


def test_a_day_has_the_facts_that_were_filed_on_it(xbrl):
    assert xbrl.run(FRIDAY).success

    rows = xbrl.rows(FRIDAY)
    assert said(rows) == expected(FRIDAY)
    assert rows[2] == {
        "cik": CHIPS.cik,
        "entity_name": CHIPS.name,
        "taxonomy": "us-gaap",
        "concept": "Assets",
        "label": "Assets",
        "unit": "USD",
        "value": float(FRIDAY.toordinal()),
        "value_exact": f"{FRIDAY.toordinal()}",
        "period_start": None,
        "period_end": date(2026, 10, 21),
        "is_instant": True,
        "fiscal_year": 2026,
        "fiscal_period": "Q3",
        "form_type": "10-Q",
        "filed_date": FRIDAY,
        "accession_number": "0000001002-26-324004",
        "frame": "CY2026Q3I",
        "collected_at": xbrl.now,
    }
    assert rows[0]["label"] is None
    assert rows[0]["value_exact"] == "12345678901234567"
    assert [row["is_instant"] for row in rows] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("written", "value", "exact", "odd"),
    [
        (b"9007199254740993", 9_007_199_254_740_992.0, "9007199254740993", 0),
        (b"-123456789012345678901234567890", -1.2345678901234568e29, None, 0),
        (b"123456789012345678.25", 123_456_789_012_345_680.0, None, 0),
        (b'"12345678901234567"', 12_345_678_901_234_568.0, "12345678901234567", 0),
        (b'"nothing"', None, "nothing", 1),
        (b"null", None, None, 0),
    ],
)
def test_values_of_any_size_keep_their_digits(xbrl, written, value, exact, odd):
    def rewrite(reply):
        return replace(reply, body=reply.body.replace(b"12345678901234567", written))

    xbrl.fake.break_with(rewrite, where="companyfacts/CIK0000001002")

    result = xbrl.run(FRIDAY)

    row = xbrl.rows(FRIDAY)[0]
    assert row["value"] == value
    assert row["value_exact"] == (exact or (value and written.decode()))
    assert metadata(result)[f"{FRIDAY}"].get("odd_values", 0) == odd


def test_only_county_companies_with_a_report_are_asked(xbrl):
    xbrl.run(FRIDAY)

    assert [request.path[-15:] for request in xbrl.fake.asked("companyfacts")] == [
        "0000001001.json",
        "0000001002.json",
    ]


def test_a_company_with_several_reports_is_asked_once(xbrl):
    twice = xbrl.fake.filed(FRIDAY)[3]
    xbrl.fake.filed = lambda _day: [twice, twice]

    xbrl.run(FRIDAY)

    assert len(xbrl.fake.asked("companyfacts")) == 1


def test_a_range_gives_each_day_its_own_facts(xbrl):
    xbrl.run(OCTOBER, OCTOBER + timedelta(days=4))

    weekend = [day for day in xbrl.days if day.weekday() >= 5]
    assert len(xbrl.days) == 5
    for day in xbrl.days:
        assert said(xbrl.rows(day)) == ([] if day in weekend else expected(day))


def test_a_day_without_facts_is_empty_and_says_so(xbrl):
    xbrl.fake.without_facts.add(CHIPS.cik)

    result = xbrl.run(FRIDAY)

    assert xbrl.rows(FRIDAY) == []
    assert metadata(result)[f"{FRIDAY}"]["reason"] == "the source has no rows for the day"


def test_new_fields_are_no_matter(xbrl):
    def change(document):
        document["note"] = "x"
        for concept in document["facts"]["us-gaap"].values():
            concept["note"] = "x"
            for facts in concept["units"].values():
                facts[:] = [fact | {"note": "x"} for fact in facts]

    xbrl.fake.break_with(base.rewritten(change), where="companyfacts/CIK0000001002")

    assert xbrl.run(FRIDAY).success
    assert said(xbrl.rows(FRIDAY)) == expected(FRIDAY)


def test_a_fact_that_comes_twice_is_stored_once(xbrl):
    def double(document):
        facts = document["facts"]["us-gaap"]["Assets"]["units"]["USD"]
        facts += [dict(fact) for fact in facts]

    xbrl.fake.break_with(base.rewritten(double), where="companyfacts/CIK0000001002")

    result = xbrl.run(FRIDAY)

    assert said(xbrl.rows(FRIDAY)) == expected(FRIDAY)
    assert metadata(result)[f"{FRIDAY}"]["repeated_rows"] == 2


def test_rows_and_bytes_are_the_same_after_faults_that_pass(xbrl):
    xbrl.run(FRIDAY)
    untroubled = stored_bytes(xbrl, FRIDAY)
    xbrl.forget()
    plans = trouble(xbrl, "companyfacts/CIK0000001002")

    assert xbrl.run(FRIDAY).success
    assert are_over(plans)
    assert said(xbrl.rows(FRIDAY)) == expected(FRIDAY)
    assert stored_bytes(xbrl, FRIDAY) == untroubled


def test_a_fault_that_stays_keeps_the_stored_day(xbrl):
    xbrl.run(FRIDAY)
    spoil, words = LASTING
    xbrl.fake.break_with(spoil, where="companyfacts", times=99)

    assert words in failure(xbrl.run(FRIDAY))
    assert said(xbrl.rows(FRIDAY)) == expected(FRIDAY)


def assets(document):
    return document["facts"]["us-gaap"]["Assets"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page.pop("entityName"), "missing required field `entityName`"),
        (
            lambda page: assets(page).pop("units"),
            "us-gaap:Assets of CIK 1002: not in the expected shape: Object missing required field "
            "`units`",
        ),
        (lambda page: assets(page)["units"]["USD"][0].pop("filed"), "required field `filed`"),
        (lambda page: assets(page)["units"]["USD"][0].update(end=2026), "`date`, got `int`"),
    ],
)
def test_a_field_that_does_not_fit_is_named(xbrl, change, says):
    def spoil(document):
        change(document)

    xbrl.fake.break_with(base.rewritten(spoil), where="companyfacts/CIK0000001002", times=99)

    assert says in failure(xbrl.run(FRIDAY))
    assert xbrl.days == []


def large(day, *, concepts=2_000, older=80):
    """Facts of a company that has reported for decades: 40 MB, five of them filed on the day."""
    about = {"accn": "0000001002-26-324004", "fy": 2026, "fp": "Q3", "form": "10-Q"}
    units = {
        "USD": [
            {"start": "2011-01-01", "end": "2011-03-31", "val": 1_234_567_890 + place}
            | about
            | {"filed": "2011-05-05", "frame": "CY2011Q1", "note": "x" * 70}
            for place in range(older)
        ]
    }
    named = {
        f"Concept{place}": {"label": "A concept", "description": "What it is.", "units": units}
        for place in range(concepts)
    }
    for place in range(5):
        fact = {"end": f"{day}", "val": place} | about | {"filed": f"{day}"}
        named[f"Concept{place * 100}"] = {"label": "A concept", "units": {"USD": [fact]}}
    document = {"cik": 1002, "entityName": "CHIPS CORP", "facts": {"us-gaap": named}}
    return json.dumps(document).encode()


def test_forty_megabytes_of_facts_need_memory_for_their_text_only(xbrl):
    body = large(FRIDAY)
    assert 40_000_000 < len(body) < 48_000_000
    xbrl.fake.documents["/api/xbrl/companyfacts/CIK0000001002.json"] = body
    with http_source(config.SEC, xbrl.env) as http:
        ask = Ask(
            day=FRIDAY,
            days=[FRIDAY],
            now=xbrl.now,
            http=http,
            settings=config.SEC.values(xbrl.env),
            known=None,
            warn=pytest.fail,
        )
        tracemalloc.start()
        try:
            rows = list(islice(sec_xbrl.collect(ask), 10))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert [row["value"] for row in rows] == [0.0, 1.0, 2.0, 3.0, 4.0]
    # Reading the text from its file joins two buffers, so it is there twice for a moment.
    assert peak_bytes < 2.25 * len(body)

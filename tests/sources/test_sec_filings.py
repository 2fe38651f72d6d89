from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.sec import CHIPS, FAR, ROBOTS, FakeSec
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble
from tests.sources.stored import stored_bytes

FRIDAY, THURSDAY = TODAY - timedelta(days=3), TODAY - timedelta(days=4)


@pytest.fixture
def filings(collecting):
    return collecting("external/scc/sec_filings", FakeSec())


def said(rows):
    names = ("accession_number", "cik", "form_type", "filing_date", "primary_document")
    return [tuple(row[name] for name in names) for row in rows]


def expected(fake, day):
    return [
        (filing.accession, filer.cik, filing.form, day, f"doc{filing.place}.htm")
        for filing in fake.filed(day)
        for filer in filing.filers
        if filer in (ROBOTS, CHIPS)
    ]


def test_a_day_has_the_filings_of_county_companies(filings):
    assert filings.run(FRIDAY).success

    rows = filings.rows(FRIDAY)
    assert said(rows) == expected(filings.fake, FRIDAY)
    assert [row["form_type"] for row in rows] == ["8-K", "4", "10-Q"]
    assert rows[0] == {
        "accession_number": "0000001001-26-324001",
        "cik": 1001,
        "company_name": "Robots of San José, Inc.",
        "form_type": "8-K",
        "filing_date": FRIDAY,
        "report_date": THURSDAY,
        "accepted_at": datetime(2026, 11, 20, 21, 31, 5, tzinfo=UTC),
        "accepted_at_source": "header",
        "items": "2.02,9.01",
        "primary_document": "doc1.htm",
        "primary_doc_description": "8-K",
        "size_bytes": 400_001,
        "is_xbrl": True,
        "is_inline_xbrl": True,
        "sic": "7372",
        "sic_description": "Services-Prepackaged Software",
        "state_of_incorporation": "DE",
        "business_city": "SAN JOSE",
        "business_state": "CA",
        "business_zip": "95112",
        "tickers": '["RSJ"]',
        "file_path": "edgar/data/1001/0000001001-26-324001.txt",
        "filing_url": "https://www.sec.gov/Archives/edgar/data/1001/000000100126324001/"
        "0000001001-26-324001-index.htm",
        "collected_at": filings.now,
    }
    assert (rows[1]["report_date"], rows[1]["items"], rows[1]["is_xbrl"]) == (None, None, False)


def test_acceptance_is_the_header_s_where_the_list_differs_and_the_row_says_which(filings):
    filings.fake.without_header = {filings.fake.filed(FRIDAY)[1].accession}

    filings.run(FRIDAY)

    moment = datetime(2026, 11, 20, 21, 31, 5, tzinfo=UTC)
    told = [(row["accepted_at"], row["accepted_at_source"]) for row in filings.rows(FRIDAY)]
    assert told == [
        (moment, "header"),
        (moment.replace(hour=16), "submissions"),
        (moment, "both"),
    ]


def test_in_summer_new_york_is_four_hours_behind(filings):
    day = date(2026, 7, 10)

    filings.run(day)

    moments = {(row["accepted_at"], row["accepted_at_source"]) for row in filings.rows(day)}
    moment = datetime(2026, 7, 10, 20, 31, 5, tzinfo=UTC)
    assert moments == {(moment, "header"), (moment, "both")}


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        ("acceptanceDateTime", "soon", "accepted_at"),
        ("reportDate", "11/19/2026", "report_date"),
        ("size", "many", "size_bytes"),
        ("isXBRL", "maybe", "is_xbrl"),
        ("items", 2.02, "items"),
    ],
)
def test_an_odd_value_of_a_list_loses_no_filing(filings, column, value, stored):
    first = filings.fake.filed(FRIDAY)[0].accession
    filings.fake.without_header = {first}

    def change(document):
        recent = document["filings"]["recent"]
        recent[column][recent["accessionNumber"].index(first)] = value

    filings.fake.break_with(base.rewritten(change), where="CIK0000001001", times=99)

    result = filings.run(FRIDAY)

    assert len(filings.rows(FRIDAY)) == len(expected(filings.fake, FRIDAY))
    assert filings.rows(FRIDAY)[0][stored] == ("2.02" if stored == "items" else None)
    assert metadata(result)[f"{FRIDAY}"]["odd_values"] == 1


def test_people_and_companies_elsewhere_are_not_stored(filings):
    filings.run(FRIDAY)

    assert {row["cik"] for row in filings.rows(FRIDAY)} == {ROBOTS.cik, CHIPS.cik}
    assert "DOE" not in str(filings.rows(FRIDAY))
    assert "@" not in str(filings.rows(FRIDAY))


def test_a_year_ago_is_found_among_the_older_filings(filings):
    day = FRIDAY - timedelta(days=210)

    filings.run(day)

    assert said(filings.rows(day)) == expected(filings.fake, day)
    assert len(filings.fake.asked("submissions-001")) == 2


def test_a_filing_that_its_company_does_not_list_yet_has_what_the_index_says(filings):
    def forget(document):
        document["filings"] = {
            "recent": {name: [] for name in document["filings"]["recent"]},
            "files": [],
        }

    filings.fake.break_with(base.rewritten(forget), where="CIK0000001002", times=99)

    assert filings.run(FRIDAY).success

    *_, chips = filings.rows(FRIDAY)
    assert (chips["form_type"], chips["company_name"]) == ("10-Q", CHIPS.name)
    assert (chips["accepted_at"], chips["size_bytes"], chips["primary_document"]) == (None,) * 3


def test_companies_may_be_named_and_then_no_others_are_looked_at(filings):
    filings.env["SEC_COMPANIES"] = f"{CHIPS.cik:010d}, {FAR.cik}"

    filings.run(FRIDAY)

    assert {row["cik"] for row in filings.rows(FRIDAY)} == {CHIPS.cik}
    assert not filings.fake.asked("company_tickers")
    assert not filings.fake.asked("CIK0000001001")


def test_a_name_among_the_companies_is_refused(filings):
    filings.env["SEC_COMPANIES"] = "CHP"

    assert "`SEC_COMPANIES` is no number: 'CHP'" in failure(filings.run(FRIDAY))


def test_a_company_that_is_no_longer_followed_keeps_its_past_filings(filings):
    filings.run(FRIDAY)
    filings.env["SEC_COMPANIES"] = f"{CHIPS.cik}"

    again = filings.run(FRIDAY)

    assert sorted(said(filings.rows(FRIDAY))) == sorted(expected(filings.fake, FRIDAY))
    assert metadata(again)[f"{FRIDAY}"]["kept_rows"] > 0


def test_county_is_a_setting(filings):
    filings.env |= {"SEC_COUNTY_ZIPS": "10001", "SEC_COUNTY_CITIES": "Nowhere"}

    filings.run(FRIDAY)

    assert {row["cik"] for row in filings.rows(FRIDAY)} == {CHIPS.cik}


def test_a_backfill_asks_for_each_document_once(filings):
    first = date(2026, 11, 9)

    assert filings.run(first, FRIDAY).success

    assert len(filings.days) == 12
    for day in filings.days:
        assert said(filings.rows(day)) == expected(filings.fake, day)
    # Two shapes are read from a county company's document, and one from the others'.
    asked = [request.path for request in filings.fake.asked("submissions/CIK")]
    assert sorted(asked) == [
        *["/submissions/CIK0000001001.json"] * 2,
        *["/submissions/CIK0000001002.json"] * 2,
        "/submissions/CIK0000001003.json",
    ]
    assert len(filings.fake.asked("company_tickers")) == 1


def test_a_backfill_keeps_the_days_that_are_there(filings):
    filings.run(THURSDAY)
    filings.fake.requests.clear()

    result = filings.run(THURSDAY, FRIDAY)

    assert "kept as it is" in metadata(result)[f"{THURSDAY}"]["reason"]
    assert [request.path[-12:] for request in filings.fake.asked("master")] == ["20261120.idx"]


def test_a_day_without_an_index_is_not_published_yet(filings):
    filings.fake.index_until = THURSDAY

    (reason,) = observed(filings.run(FRIDAY)).values()

    assert reason == "not published yet: EDGAR has no index of 2026-11-20 or of a later day"


def test_without_a_contact_the_run_is_skipped(filings):
    filings.env["SEC_USER_AGENT"] = " "

    (reason,) = observed(filings.run(FRIDAY)).values()

    assert reason == "Skipped: SEC EDGAR is not configured: set SEC_USER_AGENT"


def test_rows_and_bytes_are_the_same_after_faults_that_pass(filings):
    filings.run(FRIDAY)
    untroubled = stored_bytes(filings, FRIDAY)
    filings.forget()
    plans = trouble(filings, "company_tickers", "CIK0000001001", "CIK0000001003")

    assert filings.run(FRIDAY).success
    assert are_over(plans)
    assert said(filings.rows(FRIDAY)) == expected(filings.fake, FRIDAY)
    assert stored_bytes(filings, FRIDAY) == untroubled


def test_a_fault_that_stays_keeps_the_stored_day(filings):
    filings.run(FRIDAY)
    spoil, words = LASTING
    for place in ("company_tickers", "CIK0000001002"):
        filings.fake.faults.clear()
        filings.fake.break_with(spoil, where=place, times=99)

        assert words in failure(filings.run(FRIDAY))
        assert said(filings.rows(FRIDAY)) == expected(filings.fake, FRIDAY)


@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        ("CIK0000001002", lambda page: page.pop("name"), "missing required field `name`"),
        ("CIK0000001002", lambda page: page.update(tickers="CHP"), "Expected `array`, got `str`"),
        (
            "CIK0000001002",
            lambda page: page["filings"]["recent"].pop("items"),
            "filings of CIK 1002: not in the expected shape: Object missing required field `items`",
        ),
        (
            "CIK0000001002",
            lambda page: page["filings"]["recent"]["size"].clear(),
            "filings of CIK 1002: columns of different lengths",
        ),
        ("index.json", lambda page: page.pop("directory"), "missing required field `directory`"),
        ("tickers", lambda page: page.clear(), "with a ticker symbol is empty"),
        (
            "tickers",
            lambda page: page["0"].update(cik_str="1001"),
            "Expected `int`, got `str` - at `$[...].cik_str`",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named(filings, place, change, says):
    filings.fake.break_with(base.rewritten(change), where=place, times=99)

    assert says in failure(filings.run(FRIDAY))
    assert filings.days == []


def test_new_fields_are_no_news(filings):
    filings.fake.break_with(
        base.rewritten(lambda page: page.update(brand_new={"a": 1})), where="CIK0000001002"
    )

    assert filings.run(FRIDAY).success
    assert said(filings.rows(FRIDAY)) == expected(filings.fake, FRIDAY)

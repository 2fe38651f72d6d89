import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.fakes.base import Reply
from tests.fakes.sec import ROUND, SEED, TEXAN, FakeSec
from tests.fakes.sec_documents import notice
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble
from tests.sources.stored import stored_bytes

FRIDAY, THURSDAY = TODAY - timedelta(days=3), TODAY - timedelta(days=4)
SATURDAY, SUNDAY = TODAY - timedelta(days=2), TODAY - timedelta(days=1)
SCHEDULE = {"dagster/schedule_name": "collect_sec_form_d"}


@pytest.fixture
def form_d(collecting):
    return collecting("external/scc/sec_form_d", FakeSec())


def said(rows):
    names = ("accession_number", "cik", "form_type", "filing_date", "entity_name", "is_scc")
    return [tuple(row[name] for name in names) for row in rows]


def expected(fake, day):
    seed, amended, shared, *_ = [
        filing for filing in fake.filed(day) if filing.form in {"D", "D/A"}
    ]
    return [
        (seed.accession, SEED.cik, "D", day, SEED.name, True),
        (amended.accession, ROUND.cik, "D/A", day, ROUND.name, True),
        (shared.accession, TEXAN.cik, "D", day, TEXAN.name, False),
    ]


def change(form_d, old, new):
    """Have the fake write its first notice of Friday differently."""
    filing = next(filing for filing in form_d.fake.filed(FRIDAY) if filing.form == "D")
    path = f"/Archives/edgar/data/2001/{filing.accession.replace('-', '')}/primary_doc.xml"
    body = form_d.fake.documents.get(path, notice(filing)).decode()
    assert old in body
    form_d.fake.documents[path] = body.replace(old, new).encode()


def test_a_day_has_the_notices_of_county_issuers(form_d):
    assert form_d.run(FRIDAY).success

    rows = form_d.rows(FRIDAY)
    assert said(rows) == expected(form_d.fake, FRIDAY)
    assert rows[0] == {
        "accession_number": "0000002001-26-324005",
        "cik": 2001,
        "form_type": "D",
        "filing_date": FRIDAY,
        "entity_name": "Seed & Co",
        "entity_type": "Corporation",
        "jurisdiction": "DELAWARE",
        "year_of_inc": "2024",
        "street1": "1 Main St",
        "street2": None,
        "city": "Palo Alto",
        "state": "CA",
        "zip_code": "00000",
        "phone": "408-555-0100",
        "is_scc": True,
        "industry_group": "Other Technology",
        "investment_fund_type": None,
        "revenue_range": "Decline to Disclose",
        "federal_exemptions": '["06b","3C.1"]',
        "is_amendment": False,
        "previous_accession_number": None,
        "date_of_first_sale": date(2026, 11, 6),
        "first_sale_yet_to_occur": None,
        "more_than_one_year": False,
        "is_equity": True,
        "is_debt": False,
        "is_pooled_fund": False,
        "is_business_combination": False,
        "minimum_investment": Decimal(25000),
        "total_offering_amount": Decimal(5000000),
        "offering_indefinite": False,
        "total_amount_sold": Decimal(3200000),
        "total_remaining": Decimal(1800000),
        "has_non_accredited": False,
        "investors_count": 14,
        "sales_commissions": Decimal(1000),
        "finders_fees": Decimal(0),
        "gross_proceeds_used": Decimal(250000),
        "related_persons": json.dumps(
            [{"name": "Ada Example", "relationships": ["Executive Officer", "Director"]}],
            separators=(",", ":"),
        ),
        "filing_url": "https://www.sec.gov/Archives/edgar/data/2001/000000200126324005/"
        "0000002001-26-324005-index.htm",
        "collected_at": form_d.now,
    }


def test_an_amendment_is_a_row_of_its_own(form_d):
    form_d.run(FRIDAY)

    assert [row["is_amendment"] for row in form_d.rows(FRIDAY)] == [False, True, False]
    amended = form_d.rows(FRIDAY)[1]["previous_accession_number"]
    assert amended == "0000002002-26-000001"


@pytest.mark.parametrize("flag", ["", "<isAmendment>false</isAmendment>"])
def test_an_amendment_without_the_flag_is_one_by_its_form(form_d, flag):
    filing = next(filing for filing in form_d.fake.filed(FRIDAY) if filing.form == "D/A")
    path = f"/Archives/edgar/data/2002/{filing.accession.replace('-', '')}/primary_doc.xml"
    body = notice(filing).decode()
    assert "<isAmendment>true</isAmendment>" in body
    form_d.fake.documents[path] = body.replace("<isAmendment>true</isAmendment>", flag).encode()

    form_d.run(FRIDAY)

    assert [row["is_amendment"] for row in form_d.rows(FRIDAY)] == [False, True, False]
    assert form_d.rows(FRIDAY)[1]["previous_accession_number"] == "0000002002-26-000001"


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        (">5000000<", ">five million<", "total_offering_amount"),
        ("<value>2026-11-06", "<value>06.11.2026", "date_of_first_sale"),
        (">14<", ">many<", "investors_count"),
    ],
)
def test_one_odd_value_loses_no_notice_and_is_told(form_d, old, new, column):
    change(form_d, old, new)

    result = form_d.run(FRIDAY)

    assert said(form_d.rows(FRIDAY)) == expected(form_d.fake, FRIDAY)
    assert form_d.rows(FRIDAY)[0][column] is None
    assert metadata(result)[f"{FRIDAY}"]["odd_values"] == 1
    assert f"`{column}`: 1 value of another type, stored as null" in form_d.texts(result)


def test_home_addresses_and_mail_addresses_of_people_are_not_stored(form_d):
    form_d.run(FRIDAY)

    stored = str(form_d.rows(FRIDAY))
    assert "Ada Example" in stored
    assert "Home Street" not in stored
    assert "@" not in stored


def test_a_notice_by_several_issuers_is_read_once(form_d):
    form_d.run(FRIDAY)

    asked = [request.path for request in form_d.fake.asked("primary_doc.xml")]
    assert len(asked) == len(set(asked)) == 4


def test_everything_is_asked_with_a_contact_and_without_one_nothing_is(form_d):
    form_d.run(FRIDAY)
    agents = {request.headers["user-agent"] for request in form_d.fake.requests}
    assert agents == {"Example Company admin@example.com"}

    form_d.env["SEC_USER_AGENT"] = "curl"
    asked = len(form_d.fake.requests)
    assert "SEC_USER_AGENT has no mail address" in failure(form_d.run(FRIDAY))
    assert len(form_d.fake.requests) == asked


def test_without_a_contact_set_the_run_is_skipped(form_d):
    del form_d.env["SEC_USER_AGENT"]

    assert observed(form_d.run(FRIDAY)) == {
        f"{FRIDAY}": "Skipped: SEC EDGAR is not configured: set SEC_USER_AGENT"
    }
    assert form_d.fake.requests == []


def test_a_notice_may_say_less_or_in_words(form_d):
    for old, new in (
        ("<value>2026-11-06</value>", "<yetToOccur>true</yetToOccur>"),
        (">5000000<", ">Indefinite<"),
        (">1800000<", ">Indefinite<"),
        (">3200000<", ">$3,200,000.50<"),
        ("<isEquityType>true</isEquityType>", "<isDebtType>true</isDebtType>"),
        (
            "<withinFiveYears>true</withinFiveYears><value>2024</value>",
            "<overFiveYears>true</overFiveYears>",
        ),
        ("<investmentFundInfo/>", "<investmentFundType>Hedge Fund</investmentFundType>"),
        ("<issuerPhoneNumber>408-555-0100</issuerPhoneNumber>", ""),
        ("<item>06b</item><item>3C.1</item>", ""),
    ):
        change(form_d, old, new)

    assert form_d.run(FRIDAY).success

    row = form_d.rows(FRIDAY)[0]
    assert {
        "date_of_first_sale": None,
        "first_sale_yet_to_occur": True,
        "total_offering_amount": None,
        "offering_indefinite": True,
        "total_remaining": None,
        "total_amount_sold": Decimal("3200000.5"),
        "is_equity": False,
        "is_debt": True,
        "year_of_inc": "over five years ago",
        "investment_fund_type": "Hedge Fund",
        "phone": None,
        "federal_exemptions": "[]",
    }.items() <= row.items()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "<entityName>Seed &amp; Co</entityName>",
            "",
            "primary_doc.xml: `entityName` is missing",
        ),
        ("primaryIssuer>", "someIssuer>", "no Form D: `primaryIssuer` is missing"),
        ("</edgarSubmission>", "", "no whole XML document came: no element found"),
        ("<edgarSubmission>", "<!DOCTYPE a [<!ENTITY b 'c'>]><edgarSubmission>", "entities"),
    ],
)
def test_a_notice_that_does_not_fit_fails_the_day_and_is_named(form_d, old, new, says):
    change(form_d, old, new)

    message = failure(form_d.run(FRIDAY))
    assert message.startswith("dagster._core.definitions.events.Failure: SEC EDGAR: ")
    assert says in message
    assert form_d.days == []


def test_an_amount_beyond_the_column_is_left_out_with_a_warning(form_d):
    change(form_d, ">3200000<", ">1000000000000<")

    result = form_d.run(FRIDAY)

    assert form_d.rows(FRIDAY)[0]["total_amount_sold"] is None
    assert "0000002001-26-324005: total_amount_sold of 1000000000000" in form_d.texts(result)


def missing(_reply):
    return Reply(
        status=403, headers={"content-type": "application/xml"}, body=b"<Code>AccessDenied</Code>"
    )


def test_a_notice_without_a_document_is_left_out_with_a_warning(form_d):
    form_d.fake.break_with(missing, where="000000200126324005", times=1)

    result = form_d.run(FRIDAY)

    assert said(form_d.rows(FRIDAY)) == expected(form_d.fake, FRIDAY)[1:]
    assert "notices without a document were left out: 0000002001-26-324005" in form_d.texts(result)


def test_a_day_without_any_document_fails(form_d):
    form_d.fake.break_with(missing, where="primary_doc.xml", times=99)

    assert "none of 4 notices has a primary_doc.xml" in failure(form_d.run(FRIDAY))


def test_a_backfill_goes_on_where_it_stopped_and_keeps_what_is_there(form_d):
    form_d.fake.break_with(LASTING[0], where="2632400", times=99)
    assert not form_d.run(THURSDAY, FRIDAY).success
    assert form_d.days == [THURSDAY]
    form_d.fake.faults.clear()
    form_d.fake.requests.clear()

    result = form_d.run(THURSDAY, FRIDAY)

    assert said(form_d.rows(FRIDAY)) == expected(form_d.fake, FRIDAY)
    assert not form_d.fake.asked("26323")
    assert "kept as it is" in metadata(result)[f"{THURSDAY}"]["reason"]

    form_d.run(THURSDAY, FRIDAY, **{"lake/refetch": "true"})
    assert form_d.fake.asked("26323")


def test_a_backfill_asks_for_one_list_per_quarter(form_d):
    form_d.run(date(2026, 9, 28), date(2026, 10, 2))

    assert [request.path for request in form_d.fake.asked("index.json")] == [
        "/Archives/edgar/daily-index/2026/QTR3/index.json",
        "/Archives/edgar/daily-index/2026/QTR4/index.json",
    ]
    for day in form_d.days:
        assert said(form_d.rows(day)) == expected(form_d.fake, day)
    assert len(form_d.days) == 5


def test_rows_and_bytes_are_the_same_after_faults_that_pass(form_d):
    form_d.run(FRIDAY)
    untroubled = stored_bytes(form_d, FRIDAY)
    plans = trouble(form_d, "index.json", "master.", "primary_doc.xml")

    assert form_d.run(FRIDAY).success
    assert are_over(plans)
    assert said(form_d.rows(FRIDAY)) == expected(form_d.fake, FRIDAY)
    assert stored_bytes(form_d, FRIDAY) == untroubled


def test_a_fault_that_stays_keeps_the_stored_day(form_d):
    form_d.run(FRIDAY)
    spoil, words = LASTING
    for place in ("index.json", "master.", "primary_doc.xml"):
        form_d.fake.faults.clear()
        form_d.fake.break_with(spoil, where=place, times=99)

        assert words in failure(form_d.run(FRIDAY))
        assert said(form_d.rows(FRIDAY)) == expected(form_d.fake, FRIDAY)


def test_being_blocked_is_said_with_its_reasons(form_d):
    form_d.fake.limit_per_s = 0

    message = failure(form_d.run(FRIDAY))

    assert "ten minutes after more than 10 requests a second" in message
    assert form_d.fake.blocked == 1


def test_weekends_are_empty(form_d):
    result = form_d.run(SATURDAY, SUNDAY)

    assert [form_d.rows(day) for day in (SATURDAY, SUNDAY)] == [[], []]
    assert metadata(result)[f"{SUNDAY}"]["reason"] == "the source has no rows for the day"


def test_a_holiday_is_empty_once_a_later_day_is_there(form_d):
    form_d.fake.holidays = {THURSDAY}
    form_d.fake.index_until = THURSDAY
    early = form_d.run(THURSDAY)
    assert "EDGAR has no index of 2026-11-19" in observed(early)[f"{THURSDAY}"]
    assert form_d.days == []

    form_d.fake.index_until = FRIDAY
    form_d.run(THURSDAY)

    assert form_d.rows(THURSDAY) == []


@pytest.mark.parametrize(
    ("now", "day"),
    [
        # New Year's Eve closed by order: the quarter ends without an index of it.
        (datetime(2026, 1, 3, 12, tzinfo=UTC), date(2025, 12, 31)),
        # New Year's Day: the first list of the quarter begins after it.
        (datetime(2026, 1, 5, 12, tzinfo=UTC), date(2026, 1, 1)),
        (datetime(2024, 3, 2, 12, tzinfo=UTC), date(2024, 2, 29)),
    ],
)
def test_holidays_at_the_edges_of_quarters_and_on_a_leap_day_are_empty(collecting, now, day):
    fake = FakeSec(now.date())
    fake.holidays = {day}
    form_d = collecting("external/scc/sec_form_d", fake)
    form_d.now = now

    assert form_d.run(day).success
    assert form_d.rows(day) == []


def test_the_first_index_of_a_quarter_may_not_be_there_yet(collecting):
    fake = FakeSec(date(2026, 10, 1))
    form_d = collecting("external/scc/sec_form_d", fake)
    form_d.now = datetime(2026, 10, 2, 10, tzinfo=UTC)

    (reason,) = observed(form_d.run(date(2026, 10, 1))).values()

    assert reason == "not published yet: EDGAR has no index of 2026-10-01 or of a later day"


def test_the_next_tick_finds_what_was_late(form_d):
    form_d.fake.index_until = THURSDAY
    form_d.run(THURSDAY, FRIDAY, **SCHEDULE)
    assert form_d.days == [THURSDAY]

    form_d.fake.index_until = SUNDAY
    form_d.run(THURSDAY, SUNDAY, **SCHEDULE)

    assert said(form_d.rows(FRIDAY)) == expected(form_d.fake, FRIDAY)
    assert form_d.days == [THURSDAY, FRIDAY, SATURDAY, SUNDAY]


def test_an_index_that_is_missing_for_long_is_a_fault(form_d):
    form_d.fake.index_until = TODAY - timedelta(days=7)

    message = failure(form_d.run(TODAY - timedelta(days=6)))

    assert "EDGAR still has no index of 2026-11-17 or of a later day; run it again" in message


def test_an_index_that_is_listed_and_missing_is_a_fault(form_d):
    form_d.fake.break_with(missing, where="master.", times=99)

    assert "lists an index of 2026-11-20, but it is not there" in failure(form_d.run(FRIDAY))


@pytest.mark.parametrize(
    ("now", "published"),
    [
        # Winter: New York's midnight is 05:00 UTC.
        (datetime(2026, 11, 21, 4, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 21, 5, 1, tzinfo=UTC), True),
    ],
)
def test_a_day_is_over_when_it_is_over_in_new_york(form_d, now, published):
    form_d.now = now

    result = form_d.run(FRIDAY)

    assert bool(form_d.days) == published
    if not published:
        assert observed(result)[f"{FRIDAY}"] == (
            "not published yet: 2026-11-20 is not over in New York"
        )
        assert form_d.fake.requests == []


def test_in_summer_a_day_is_over_an_hour_earlier(collecting):
    form_d = collecting("external/scc/sec_form_d", FakeSec(date(2026, 7, 15)))
    form_d.now = datetime(2026, 7, 15, 4, 1, tzinfo=UTC)

    form_d.run(date(2026, 7, 14))

    assert said(form_d.rows(date(2026, 7, 14))) == expected(form_d.fake, date(2026, 7, 14))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"CIK|Company Name", b"CIK|Name", "its columns are not CIK|Company Name|"),
        (b"|8-K|", b"|8-K|x|", "no line of an index: '1001|Robots of San Jos\\xe9, Inc.|8-K|x|"),
        (b"|8-K|20261120|", b"|8-K|11/20/2026|", "no line of an index"),
        (b"-" * 80, b"", "no whole index came"),
    ],
)
def test_an_index_that_does_not_fit_is_named(form_d, old, new, says):
    def spoil(reply):
        assert old in reply.body
        return replace(reply, body=reply.body.replace(old, new, 1))

    form_d.fake.break_with(spoil, where="master.", times=99)

    assert says.encode().decode("unicode_escape") in failure(form_d.run(FRIDAY))

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.cdtfa import CITIES, COUNTIES, FakeCdtfa, city_row, county_row
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

YESTERDAY = TODAY - timedelta(days=1)
PLACES = [
    (2026, 1, "county", None, "C01"),
    (2026, 1, "county", None, "C08"),
    (2026, 1, "county", None, "TTL"),
    (2025, 4, "city", "SAN JOSE", "TTL"),
    (2026, 1, "city", "MONTE SERENO", "C08"),
    (2026, 1, "city", "SAN JOSE", "TTL"),
]
SOLD = [1_834_569_917, 1_834_569_917, 1_834_569_917, 8_000_004, None, 8_000_001]
COUNTED = [1_801, 1_801, 1_801, 48, 52, 48]


@pytest.fixture
def sales(collecting):
    return collecting("external/scc/cdtfa_taxable_sales", FakeCdtfa())


@pytest.fixture
def permits(collecting):
    return collecting("external/scc/cdtfa_permits", FakeCdtfa())


@pytest.fixture(params=["sales", "permits"])
def either(request):
    return request.getfixturevalue(request.param)


def on(lake, day):
    """The clock set to noon of a day."""
    lake.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return lake


def places(rows):
    names = ("calendar_year", "quarter", "geo_level", "city", "business_group_code")
    return [tuple(row[name] for name in names) for row in rows]


def values(rows):
    return [row.get("taxable_transactions_usd", row.get("permits_count")) for row in rows]


def test_sales_of_the_county_and_its_cities_become_rows(sales):
    assert sales.run().success

    rows = sales.rows()
    assert places(rows) == PLACES
    assert values(rows) == SOLD
    assert rows[0] == {
        "calendar_year": 2026,
        "quarter": 1,
        "period_start": date(2026, 1, 1),
        "period_end": date(2026, 3, 31),
        "geo_level": "county",
        "county": "SANTA CLARA",
        "county_code": 43,
        "county_fips": "085",
        "city": None,
        "business_group_code": "C01",
        "business_type": "Motor Vehicle and Parts Dealers",
        "taxable_transactions_usd": 1_834_569_917,
        "disclosure_flag": None,
        "row_hash": rows[0]["row_hash"],
        "collected_at": sales.now,
    }
    assert rows[4]["disclosure_flag"] == "c"


def test_permits_of_the_county_and_outlets_of_its_cities_become_rows(permits):
    permits.fake.tables[COUNTIES][0]["PermitDate"] = "2026-04-02T00:00:00-07:00"

    assert permits.run().success

    rows = permits.rows()
    assert places(rows) == PLACES
    assert values(rows) == COUNTED
    assert rows[0] == {
        "calendar_year": 2026,
        "quarter": 1,
        "permit_date": date(2026, 4, 2),
        "geo_level": "county",
        "county": "SANTA CLARA",
        "county_code": 43,
        "county_fips": "085",
        "city": None,
        "business_group_code": "C01",
        "business_type": "Motor Vehicle and Parts Dealers",
        "permits_count": 1_801,
        "count_basis": "permits",
        "disclosure_flag": None,
        "row_hash": rows[0]["row_hash"],
        "collected_at": permits.now,
    }
    assert [row["count_basis"] for row in rows] == ["permits"] * 3 + ["outlets"] * 3
    assert rows[3]["permit_date"] == date(2025, 12, 31)


@pytest.mark.parametrize(
    ("quarter", "first", "last"),
    [
        (1, date(2024, 1, 1), date(2024, 3, 31)),
        (2, date(2024, 4, 1), date(2024, 6, 30)),
        (3, date(2024, 7, 1), date(2024, 9, 30)),
        (4, date(2024, 10, 1), date(2024, 12, 31)),
    ],
)
def test_a_quarter_has_its_first_and_last_day(sales, quarter, first, last):
    sales.fake.tables[COUNTIES] = [county_row(2024, quarter, "TTL")]

    sales.run()

    row = sales.rows()[0]
    assert (row["quarter"], row["period_start"], row["period_end"]) == (quarter, first, last)


def test_nothing_new_is_a_success_without_rows_and_with_a_reason(either):
    on(either, YESTERDAY).run(YESTERDAY)

    result = on(either, TODAY).run()

    day = metadata(result)[f"{TODAY}"]
    assert either.rows() == []
    assert (day["rows"], day["unchanged_rows"]) == (0, 6)
    assert day["reason"] == "nothing new or revised since the last time"


def test_the_next_quarter_comes_with_the_revisions_of_older_ones(sales):
    on(sales, YESTERDAY).run(YESTERDAY)
    sales.fake.tables[COUNTIES] += [county_row(2026, 2, "TTL")]
    sales.fake.tables[CITIES][0] |= {"TaxableTransactionsAmount": 7, "NumberofOutlets": 9}
    sales.fake.tables[CITIES][1] |= {"DisclosureFlag": "d"}

    on(sales, TODAY).run()

    rows = sales.rows()
    assert places(rows) == [(2026, 2, "county", None, "TTL"), PLACES[3], PLACES[5]]
    assert values(rows) == [1_834_569_918, 7, 8_000_001]
    assert rows[2]["disclosure_flag"] == "d"


def test_sales_that_are_revised_are_no_news_of_permits(permits):
    on(permits, YESTERDAY).run(YESTERDAY)
    permits.fake.tables[CITIES][0] |= {"TaxableTransactionsAmount": 7}

    on(permits, TODAY).run()

    assert permits.rows() == []


def test_another_spelling_of_the_same_row_is_no_revision(either):
    on(either, YESTERDAY).run(YESTERDAY)
    spelled = {
        "San Jose": "SAN JOSE",
        "SAN JOSE": "San Jose ",
        "C": "c",
        "Q1": 1,
        "Q4": "Q4",
        "Santa Clara": "SANTA CLARA",
        1_834_569_917: "1834569917",
        8_000_004: 8_000_004.0,
    }
    for table in either.fake.tables.values():
        for row in table:
            row |= {name: spelled.get(value, value) for name, value in row.items()}

    on(either, TODAY).run()

    assert either.rows() == []


def test_pages_are_followed_by_what_came_not_by_what_was_asked_for(sales):
    sales.fake.page_rows = 2
    sales.fake.tables[CITIES] = [
        city_row(year, quarter, city)
        for year in (2024, 2025)
        for quarter in (1, 2, 3, 4)
        for city in ("Campbell", "Los Altos", "Milpitas")
    ]

    assert sales.run().success

    asked = sales.fake.asked(CITIES)
    assert len(sales.rows()) == 3 + 24
    assert len(set(places(sales.rows()))) == 27
    assert [int(request.query["$skip"]) for request in asked] == list(range(0, 24, 2))


def test_rows_that_move_between_pages_fail_the_run(sales):
    sales.fake.page_rows = 2

    def shifted(reply):
        sales.fake.tables[COUNTIES].insert(0, county_row(2015, 1, "TTL"))
        return reply

    sales.fake.break_with(shifted, where=COUNTIES)

    assert f"{COUNTIES} changed while it was read; run it again later" in failure(sales.run())
    assert sales.days == []

    assert sales.run().success
    assert len(sales.rows()) == 7


def test_fewer_rows_than_counted_fail_the_run(sales):
    sales.fake.break_with(
        base.rewritten(lambda page: page.update({"@odata.count": 5})), where=COUNTIES, times=9
    )

    assert f"{COUNTIES} changed while it was read" in failure(sales.run())
    assert sales.days == []


def test_a_row_that_comes_twice_on_a_page_is_kept_once(sales):
    sales.fake.tables[CITIES].append(dict(sales.fake.tables[CITIES][0]))

    result = sales.run()

    assert places(sales.rows()) == PLACES
    assert metadata(result)[f"{TODAY}"]["repeated_rows"] == 1


def test_the_past_is_not_invented(sales):
    assert "nothing older than 2026-11-23 can be collected" in failure(sales.run(YESTERDAY))
    assert sales.fake.requests == []

    result = sales.run(TODAY - timedelta(days=2), TODAY)

    assert result.success
    assert sales.days == [TODAY]
    assert "out of reach: the portal shows" in observed(result)[f"{YESTERDAY}"]


def test_a_county_without_rows_is_no_empty_success(sales):
    sales.env |= {"CDTFA_COUNTY": "O'Higgins"}

    assert f"{COUNTIES} has no rows of O'Higgins" in failure(sales.run())
    assert sales.fake.requests[0].query["$filter"] == (
        "County eq 'O''HIGGINS' or County eq 'O''Higgins'"
    )


def test_rows_of_other_counties_are_not_taken_for_ours(sales):
    sales.fake.tables[CITIES] += [city_row(2026, 1, "Fremont")]
    sales.fake.break_with(
        base.rewritten(lambda page: page["value"][0].update(County="Alameda")), where=CITIES
    )

    assert f"{CITIES} gives rows of Alameda, not asked for" in failure(sales.run())


def test_the_portal_is_asked_as_a_browser_would(sales):
    sales.run()

    agents = {request.headers["user-agent"] for request in sales.fake.requests}
    assert agents == {"Mozilla/5.0 (compatible; ainative-lake)"}

    sales.env["CDTFA_USER_AGENT"] = "curl"
    assert "HTTP 403: (an HTML page)" in failure(sales.run())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"CalendarYear": 2026.5}, "`CalendarYear` is no whole number"),
        ({"CalendarYear": 20261}, "a row without quarter or group: 20261 Q1, C01"),
        ({"Quarter": "Q5"}, "a row without quarter or group: 2026 Q5, C01"),
        ({"Quarter": None}, "a row without quarter or group: 2026 None, C01"),
        ({"BusinessGroupCode": " "}, "a row without quarter or group: 2026 Q1, None"),
        ({"TaxableTransactions": [1]}, "got `array` - at `$.value[0][...]`"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(sales, change, says):
    sales.fake.break_with(
        base.rewritten(lambda page: page["value"][0].update(change)), where=COUNTIES
    )

    assert says in failure(sales.run())
    assert sales.days == []


def test_a_base_url_that_is_none_skips_the_run(sales):
    sales.env["CDTFA_BASE_URL"] = "cdtfa.ca.gov"

    result = sales.run()

    assert result.success
    assert observed(result)[f"{TODAY}"] == (
        "Skipped: CDTFA (California sales taxes): CDTFA_BASE_URL must start with https:// or http://"
    )
    assert sales.days == []


def test_a_day_that_is_none_loses_no_row_and_is_told(permits):
    permits.fake.tables[COUNTIES][0]["PermitDate"] = "03/31/2026"

    result = permits.run()

    assert result.success
    assert permits.rows()[0]["permit_date"] == date(2026, 3, 31)
    assert "`PermitDate` is no day, and the quarter's last was taken" in permits.texts(result)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (COUNTIES, "CalendarYear"),
        (COUNTIES, "DisclosureFlag"),
        (CITIES, "City"),
        (CITIES, "BusinessGroupCode"),
    ],
)
def test_a_missing_column_is_named(sales, table, column):
    sales.fake.break_with(
        base.rewritten(lambda page: [row.pop(column) for row in page["value"]]), where=table
    )

    assert f"the column `{column}` is missing" in failure(sales.run())
    assert sales.days == []


def test_a_missing_count_is_named(sales):
    sales.fake.break_with(base.rewritten(lambda page: page.pop("@odata.count")), where=COUNTIES)

    assert "missing required field `@odata.count`" in failure(sales.run())


def test_a_new_column_is_no_matter(sales):
    for row in sales.fake.tables[COUNTIES]:
        row |= {"BrandNew": True, "@odata.etag": 'W/"1"'}

    assert sales.run().success
    assert places(sales.rows()) == PLACES


def test_rows_are_exact_after_faults_that_pass(either):
    plans = trouble(either, COUNTIES, CITIES)

    assert either.run().success

    assert are_over(plans)
    assert places(either.rows()) == PLACES
    assert values(either.rows()) in (SOLD, COUNTED)


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(sales):
    spoil, words = LASTING
    sales.fake.break_with(spoil, where=CITIES, times=99)

    says = failure(sales.run())

    assert "CDTFA (California sales taxes): GET " in says
    assert words in says
    assert sales.days == []


def test_a_run_after_a_fault_writes_what_a_run_without_one_writes(either):
    either.run()
    before = either.rows()

    either.fake.break_with(base.status(503), where=CITIES, times=3)
    assert "HTTP 503: busy (tried 3 times); run it again later" in failure(either.run())
    assert either.rows() == before

    assert either.run().success
    assert either.rows() == before

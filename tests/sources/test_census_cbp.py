from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.census import CBP, KEY, FakeCensus, cbp
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

LAST_WEEK = TODAY - timedelta(days=7)
TABLES = "get=ESTAB"
# geo_id, industry, size class, establishments, employees
LINES = [
    ("06085", "00", "001", 49_120, 1_093_220),
    ("06085", "00", "260", 120, None),
    ("06085", "31-33", "001", 2_210, 152_300),
    ("06085", "9999", "001", 4, None),
    ("95112", "00", "001", 2_901, 40_010),
    ("95112", "722511", "001", 88, None),
]
EXPECTED = [(year, *line) for year in (2022, 2023) for line in LINES]


@pytest.fixture
def business(collecting):
    return collecting("external/scc/census_business", FakeCensus())


def on(business, day):
    """The clock set to noon of a day."""
    business.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return business


def said(rows):
    names = ("reference_year", "geo_id", "naics_code", "empszes", "establishments", "employees")
    return [tuple(row[name] for name in names) for row in rows]


def test_county_and_zip_codes_become_rows_of_all_years(business):
    assert business.run().success

    rows = business.rows()
    assert said(rows) == EXPECTED
    assert rows[2] == {
        "reference_year": 2022,
        "geo_level": "county",
        "geo_id": "06085",
        "geo_name": "Santa Clara County, California",
        "state_fips": "06",
        "county_fips": "085",
        "zip_code": None,
        "naics_version": "2017",
        "naics_code": "31-33",
        "naics_label": "Industry 31-33",
        "empszes": "001",
        "empszes_label": "All establishments",
        "lfo": "001",
        "establishments": 2_210,
        "employees": 152_300,
        "employees_noise_flag": "H",
        "payroll_annual_kusd": 152_300 * 193,
        "payroll_q1_kusd": 152_300 * 51,
        "payroll_noise_flag": "G",
        "row_hash": rows[2]["row_hash"],
        "collected_at": business.now,
    }
    assert rows[4] | {"row_hash": ""} == rows[4] | {
        "geo_level": "zip",
        "geo_name": "ZIP 95112 (San Jose, CA)",
        "county_fips": None,
        "zip_code": "95112",
        "row_hash": "",
    }


def test_what_is_not_published_is_null_and_not_0(business):
    business.run()

    unpublished = [row for row in business.rows() if row["employees"] is None]
    assert len(unpublished) == 6
    assert {row["payroll_annual_kusd"] for row in unpublished} == {None}
    flags = {row["naics_code"]: row["employees_noise_flag"] for row in unpublished}
    assert flags == {"00": "G", "9999": "D", "722511": "G"}


def test_0_employees_of_a_whole_industry_are_0(business):
    business.fake.patterns = [cbp("county", "11", "001", 3, 0)]

    business.run()

    assert said(business.rows()) == [(year, "06085", "11", "001", 3, 0) for year in (2022, 2023)]


def test_all_legal_forms_are_taken_together(business):
    business.run()

    assert {row["lfo"] for row in business.rows()} == {"001"}


def test_the_newest_industry_codes_that_have_data_are_taken(business):
    business.fake.industries = ["NAICS2012", "NAICS2017", "NAICS2022"]

    assert business.run().success

    assert said(business.rows()) == EXPECTED
    assert {row["naics_version"] for row in business.rows()} == {"2017"}
    assert [r for r in business.fake.requests if "NAICS2012" in r.query] == []


def test_no_industry_codes_at_all_are_a_fault(business):
    business.fake.industries = []

    assert "cbp of 2022 has no variable NAICS" in failure(business.run())


def test_a_column_that_a_year_does_not_have_is_null(business):
    variables = "2022/cbp/variables"
    business.fake.break_with(
        base.rewritten(lambda found: found["variables"].pop("PAYQTR1")), where=variables
    )

    business.run()

    missing = {
        row["payroll_q1_kusd"] is None for row in business.rows() if row["reference_year"] == 2022
    }
    assert missing == {True}
    assert said(business.rows()) == EXPECTED


def test_a_new_year_and_revised_lines_only_are_written(business):
    weeks = [TODAY - timedelta(days=14), LAST_WEEK, TODAY]
    on(business, weeks[0]).run(weeks[0])
    business.fake.years[CBP].append(2024)

    result = on(business, weeks[1]).run(weeks[1])
    assert said(business.rows(weeks[1])) == [(2024, *line) for line in LINES]
    assert metadata(result)[f"{weeks[1]}"]["unchanged_rows"] == 12

    business.fake.patterns[0] |= {"ESTAB": "49121"}
    on(business, weeks[2]).run(weeks[2])
    assert said(business.rows(weeks[2])) == [
        (year, "06085", "00", "001", 49_121, 1_093_220) for year in (2022, 2023, 2024)
    ]


def test_nothing_new_is_a_success_without_rows_and_with_a_reason(business):
    on(business, LAST_WEEK).run(LAST_WEEK)

    result = on(business, TODAY).run()

    assert result.success
    assert business.rows() == []
    assert "nothing new or revised" in metadata(result)[f"{TODAY}"]["reason"]


def test_a_year_that_goes_away_is_a_fault(business):
    on(business, LAST_WEEK).run(LAST_WEEK)
    business.fake.years[CBP].remove(2023)

    assert "cbp of 2023 was there before, and is gone" in failure(on(business, TODAY).run())


def test_only_young_years_may_be_missing_altogether(business):
    business.env["CENSUS_CBP_FIRST_YEAR"] = "2024"

    assert observed(business.run()) == {
        f"{TODAY}": "not published yet: the Census Bureau has no data since 2024"
    }
    assert business.days == []


def test_a_missing_key_skips_the_run_and_says_which(business):
    business.env["CENSUS_API_KEY"] = " "

    assert observed(business.run()) == {
        f"{TODAY}": "Skipped: US Census Bureau is not configured: set CENSUS_API_KEY"
    }
    assert business.fake.requests == []


def test_the_past_is_not_invented(business):
    assert "can be collected: the Census Bureau" in failure(business.run(LAST_WEEK))
    assert business.fake.requests == []


def test_rows_are_exact_after_faults_that_pass(business):
    plans = trouble(business, "cbp.json", "variables", TABLES)

    assert business.run().success

    assert are_over(plans)
    assert said(business.rows()) == EXPECTED


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(business):
    spoil, words = LASTING
    business.fake.break_with(spoil, where=TABLES, skip=2, times=99)

    result = business.run()

    assert "US Census Bureau: GET " in failure(result)
    assert words in failure(result)
    assert business.days == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table[0].__setitem__(0, "ESTABS"), "column `ESTAB` is missing"),
        (lambda table: table[1].append("x"), "cbp of 2022: a row has 15 of 14 cells"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(business, change, says):
    business.fake.break_with(base.rewritten(change), where=TABLES)

    assert says in failure(business.run())
    assert business.days == []


def test_columns_that_come_twice_and_new_ones_are_no_matter(business):
    def widened(table):
        table[0] += ["ESTAB", "GEO_ID"]
        for row in table[1:]:
            row += [row[0], "0500000US06085"]

    business.fake.break_with(base.rewritten(widened), where=TABLES)

    assert business.run().success
    assert said(business.rows()) == EXPECTED


def test_the_key_appears_nowhere(business, caplog):
    caplog.set_level("DEBUG")
    business.fake.break_with(base.status(418, text=f"I know {KEY}"), where=TABLES, times=99)

    result = business.run()

    assert "key=***" in failure(result)
    assert KEY not in business.texts(result)
    assert KEY not in caplog.text

from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.census import ACS1, ACS5, KEY, MOST_VARIABLES, FakeCensus
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

LAST_WEEK = TODAY - timedelta(days=7)
COUNTY = "Santa Clara County, California"
SAN_JOSE = "San Jose city, California"
TABLES = "get=NAME"


@pytest.fixture
def acs(collecting):
    return collecting("external/scc/demographics", FakeCensus())


def on(acs, day):
    """The clock set to noon of a day."""
    acs.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return acs


def said(rows):
    names = ("dataset", "vintage_year", "geo_id", "variable", "estimate", "margin_of_error")
    return sorted(tuple(row[name] for name in names) for row in rows)


def expected(fake):
    """What is out, by the fake's own rule."""
    found = []
    for dataset in (ACS5, ACS1):
        for area in fake.areas:
            small = "Campbell" in area["NAME"] or "zip code tabulation area" in area
            if area.get("place") == "27000" or (dataset == ACS1 and (small or "tract" in area)):
                continue
            geo_id = "".join(value for name, value in area.items() if name != "NAME")
            for year in fake.years[dataset]:
                for place, variable in enumerate(fake.variables, start=1):
                    estimate = place * 1_000 + year + len(area["NAME"])
                    found.append((dataset, year, geo_id, variable, estimate, place * 10))
    return sorted(found)


def test_every_variable_of_every_area_in_all_vintages_becomes_a_row(acs):
    assert acs.run().success

    rows = acs.rows()
    assert said(rows) == expected(acs.fake)
    assert len(rows) == 3 * (2 * 6 + 2 * 2)
    (income,) = [
        row
        for row in rows
        if (row["dataset"], row["vintage_year"], row["geo_level"], row["variable"])
        == (ACS5, 2024, "county", "B19013_001")
    ]
    assert income == {
        "dataset": "acs/acs5",
        "vintage_year": 2024,
        "period_start_year": 2020,
        "period_end_year": 2024,
        "geo_level": "county",
        "geo_id": "06085",
        "geo_name": COUNTY,
        "state_fips": "06",
        "county_fips": "085",
        "variable": "B19013_001",
        "label": "Median Household Income in the Past 12 Months: "
        "Median household income in the past 12 months",
        "estimate": 4054.0,
        "margin_of_error": 20.0,
        "annotation": None,
        "row_hash": income["row_hash"],
        "collected_at": acs.now,
    }


def test_areas_are_known_by_their_codes(acs):
    acs.run()

    rows = acs.rows()
    assert {
        (row["geo_level"], row["geo_id"], row["state_fips"], row["county_fips"]) for row in rows
    } == {
        ("county", "06085", "06", "085"),
        ("place", "0610345", "06", None),
        ("place", "0668000", "06", None),
        ("tract", "06085500100", "06", "085"),
        ("tract", "06085513501", "06", "085"),
        ("zcta", "95112", None, None),
    }
    assert {row["period_start_year"] for row in rows if row["dataset"] == ACS1} == {2023, 2024}
    assert {row["label"] for row in rows if row["variable"] == "B25003_002"} == {
        "Tenure: Total: Owner occupied"
    }


@pytest.mark.parametrize(
    ("column", "value", "figures"),
    [
        ("B19013_001E", "-666666666", (None, 20, "estimate: too few observations for an estimate")),
        ("B19013_001E", "-999999999", (None, 20, "estimate: too few cases in the area")),
        ("B19013_001E", "-888888888.0", (None, 20, "estimate: not applicable or not available")),
        ("B19013_001E", "-444444444", (None, 20, "estimate: not published (code -444444444)")),
        ("B19013_001E", None, (None, 20, "estimate: not published")),
        ("B19013_001E", -666666666, (None, 20, "estimate: too few observations for an estimate")),
        ("B19013_001E", "-12", (-12, 20, None)),
        ("B19013_001E", "38.25", (38.25, 20, None)),
        (
            "B19013_001M",
            "-222222222",
            (4054, None, "margin: too few observations for a margin of error"),
        ),
        (
            "B19013_001M",
            "-333333333",
            (4054, None, "margin: the median lies in an open-ended interval"),
        ),
        (
            "B19013_001M",
            "-555555555",
            (4054, None, "margin: the estimate is controlled to a known total"),
        ),
    ],
)
def test_codes_in_place_of_figures_are_told_in_words(acs, column, value, figures):
    acs.fake.values[ACS5, 2024, COUNTY, column] = value

    acs.run()

    (row,) = [
        row
        for row in acs.rows()
        if (row["dataset"], row["vintage_year"], row["geo_id"], row["variable"])
        == (ACS5, 2024, "06085", "B19013_001")
    ]
    assert (row["estimate"], row["margin_of_error"], row["annotation"]) == figures


def test_a_vintage_that_is_not_out_is_waited_for_and_then_all_that_is_new(acs):
    on(acs, LAST_WEEK).run(LAST_WEEK)
    assert any("/2025/acs/acs5.json" in request.path for request in acs.fake.requests)

    result = on(acs, TODAY).run()
    assert result.success
    assert acs.rows() == []
    assert "nothing new or revised" in metadata(result)[f"{TODAY}"]["reason"]

    acs.fake.years[ACS1].append(2025)
    acs.run()
    assert {(row["dataset"], row["vintage_year"]) for row in acs.rows()} == {(ACS1, 2025)}
    assert len(acs.rows()) == 3 * 2


def test_only_revised_figures_are_written_again(acs):
    on(acs, LAST_WEEK).run(LAST_WEEK)
    acs.fake.values[ACS5, 2023, SAN_JOSE, "B01003_001E"] = "1001001"

    result = on(acs, TODAY).run()

    assert said(acs.rows()) == [(ACS5, 2023, "0668000", "B01003_001", 1_001_001, 10)]
    assert metadata(result)[f"{TODAY}"]["unchanged_rows"] == 47


def test_a_new_meaning_of_a_variable_is_a_revision(acs):
    on(acs, LAST_WEEK).run(LAST_WEEK)
    acs.fake.variables["B25003_002"] = ("Tenure", "Estimate!!Total:!!Owned")

    on(acs, TODAY).run()

    assert {row["label"] for row in acs.rows()} == {"Tenure: Total: Owned"}
    assert len(acs.rows()) == 16


def test_a_figure_written_in_another_way_is_no_revision(acs):
    on(acs, LAST_WEEK).run(LAST_WEEK)
    acs.fake.values[ACS5, 2024, COUNTY, "B19013_001E"] = 4054
    acs.fake.values[ACS5, 2024, COUNTY, "B19013_001M"] = "20.0"

    on(acs, TODAY).run()

    assert acs.rows() == []


def test_a_day_written_again_keeps_its_rows(acs):
    acs.run()
    before = acs.rows()

    acs.run()

    assert acs.rows() == before


def test_a_vintage_that_is_announced_but_empty_is_left_for_later(acs):
    acs.fake.years[ACS5].append(2025)
    acs.fake.break_with(lambda _: base.Reply(status=204), where="/2025/acs/acs5?", times=99)

    result = acs.run()

    assert result.success
    assert said(acs.rows()) == [row for row in expected(acs.fake) if row[1] < 2025]
    assert "acs/acs5 of 2025 is there, but without data of these areas" in acs.texts(result)


def test_a_vintage_that_goes_away_is_a_fault(acs):
    on(acs, LAST_WEEK).run(LAST_WEEK)
    acs.fake.years[ACS5].remove(2024)

    assert "acs/acs5 of 2024 was there before, and is gone" in failure(on(acs, TODAY).run())
    assert TODAY not in acs.days


def test_no_vintage_at_all_is_a_fault_unless_all_are_young(acs):
    acs.fake.years = {ACS5: [], ACS1: []}
    assert "acs/acs5: no data of these areas, in no year since 2023" in failure(acs.run())

    acs.env["CENSUS_ACS_FIRST_VINTAGE"] = "2025"
    result = acs.run()
    assert result.success
    assert observed(result) == {
        f"{TODAY}": "not published yet: the Census Bureau has no data since 2025"
    }
    assert acs.days == []


def test_an_area_that_there_is_not_is_no_empty_success(acs):
    acs.env |= {"CENSUS_STATE": "99", "CENSUS_ZIP_CODES": "00000"}

    assert "no data of these areas" in failure(acs.run())


def test_an_unknown_variable_is_left_out_with_a_warning(acs):
    acs.env["CENSUS_ACS_VARIABLES"] += ",B01003_999,C99999_001"

    result = acs.run()

    assert said(acs.rows()) == expected(acs.fake)
    assert "acs/acs5 of 2024 does not have B01003_999, C99999_001" in acs.texts(result)


def test_no_question_has_more_variables_than_are_allowed(acs):
    acs.fake.variables = {
        f"B{place:05}_001": ("Many", f"Estimate!!No. {place}") for place in range(1, 61)
    }
    acs.env |= acs.fake.env

    assert acs.run().success

    assert said(acs.rows()) == expected(acs.fake)
    asked = [
        request.query["get"].split(",") for request in acs.fake.requests if "get" in request.query
    ]
    assert max(map(len, asked)) <= MOST_VARIABLES


def test_a_missing_key_skips_the_run_and_says_which(acs):
    del acs.env["CENSUS_API_KEY"]

    result = acs.run()

    assert result.success
    assert observed(result) == {
        f"{TODAY}": "Skipped: US Census Bureau is not configured: set CENSUS_API_KEY"
    }
    assert acs.days == []
    assert acs.fake.requests == []


def test_a_wrong_key_is_told_by_where_it_leads(acs):
    acs.env["CENSUS_API_KEY"] = "wrong"

    assert "HTTP 302 sends us to /data/invalid_key.html" in failure(acs.run())
    assert acs.days == []


def test_the_past_is_not_invented(acs):
    alone = acs.run(LAST_WEEK)
    assert f"nothing older than {TODAY} can be collected: the Census Bureau" in failure(alone)
    assert acs.fake.requests == []

    result = acs.run(LAST_WEEK, TODAY)
    assert acs.days == [TODAY]
    assert "out of reach" in observed(result)[f"{LAST_WEEK}"]


def test_rows_are_exact_after_faults_that_pass(acs):
    plans = trouble(acs, "acs5.json", "groups", TABLES)

    assert acs.run().success

    assert are_over(plans)
    assert said(acs.rows()) == expected(acs.fake)


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(acs):
    spoil, words = LASTING
    acs.fake.break_with(spoil, where=TABLES, skip=3, times=99)

    result = acs.run()

    assert "US Census Bureau: GET " in failure(result)
    assert words in failure(result)
    assert acs.days == []


def test_a_run_after_a_failure_is_whole(acs):
    down = acs.fake.break_with(base.status(503), where="2024/acs/acs1", times=99)
    assert "HTTP 503: busy (tried 3 times); run it again later" in failure(acs.run())
    assert acs.days == []

    down.times = 0
    acs.run()
    assert said(acs.rows()) == expected(acs.fake)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda table: table[1].__setitem__(1, [1]),
            "Expected `int | float | str | null`, got `array`",
        ),
        (lambda table: table[1].pop(), "acs/acs5 of 2023: a row has 8 of 9 cells"),
        (lambda table: table[0].__setitem__(1, "B01003"), "column `B01003_001E` is missing"),
        (lambda table: table[0].__setitem__(-1, "shire"), "column `county` is missing"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(acs, change, says):
    acs.fake.break_with(base.rewritten(change), where=TABLES)

    assert says in failure(acs.run())
    assert acs.days == []


def test_a_new_column_is_no_matter_and_rows_that_come_twice_are_kept_once(acs):
    def widened(table):
        table[0].append("GEO_ID")
        for row in table[1:]:
            row.append("0500000US06085")
        table.append(table[1])

    acs.fake.break_with(base.rewritten(widened), where=TABLES)

    result = acs.run()

    assert said(acs.rows()) == expected(acs.fake)
    assert metadata(result)[f"{TODAY}"]["repeated_rows"] == 3


def test_the_key_appears_nowhere(acs, caplog):
    caplog.set_level("DEBUG")
    acs.fake.break_with(base.status(418, text=f"I know {KEY}"), where=TABLES, times=99)

    result = acs.run()

    assert "key=***" in failure(result)
    assert KEY not in acs.texts(result)
    assert KEY not in caplog.text
    assert all(request.query["key"] == KEY for request in acs.fake.requests)

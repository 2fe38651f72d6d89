import json
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest

from lake_assets.sources.answers import Answer, AskAgain
from lake_assets.sources.irs_files import ZIP, rows_of
from tests.fakes import base
from tests.fakes.irs import FakeIrs, as_csv, lines
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

DAY_BEFORE, YESTERDAY = TODAY - timedelta(days=2), TODAY - timedelta(days=1)
ISSUED = datetime(2026, 8, 24, 17, tzinfo=UTC)
COUNTY_FILE, ZIP_FILE = "22incyallagi.csv", "22zpallagi.csv"
EXPECTED = [
    *((2022, "county", "085", None, stub) for stub in (1, 2, 3, 4, 5, 6, 7, 8, 0)),
    *((2022, "zip", None, code, stub) for code in ("94301", "95112") for stub in range(1, 7)),
    *((2022, "zip", None, code, 0) for code in ("94301", "95112")),
    *((2023, "county", "085", None, stub) for stub in (1, 2, 3, 4, 5, 6, 7, 8, 0)),
]


@pytest.fixture
def irs(collecting):
    return collecting("external/scc/irs_soi", FakeIrs())


def on(irs, day):
    """The clock set to noon of a day."""
    irs.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return irs


def said(rows):
    names = ("tax_year", "geo_level", "county_fips", "zip_code", "agi_stub")
    return [tuple(row[name] for name in names) for row in rows]


def reissue(irs, file, **change):
    """The file once more, with other figures of Palo Alto's or the county's first bracket."""
    (line, *_) = [
        line
        for line in irs.fake.files[file]
        if line.get("zipcode") == "94301" or line.get("COUNTYNAME") == "Santa Clara County"
    ]
    line |= change
    irs.fake.modified[file] = datetime(2026, 11, 22, 3, tzinfo=UTC)


def test_the_county_and_its_zip_codes_become_rows_with_brackets_and_totals(irs):
    assert irs.run().success

    rows = irs.rows()
    assert said(rows) == EXPECTED
    lowest = rows[0]
    assert json.loads(lowest.pop("raw")) == {
        "STATEFIPS": 6,
        "STATE": "CA",
        "COUNTYFIPS": 85,
        "COUNTYNAME": "Santa Clara County",
        "AGI_STUB": 1,
        "N1": 970,
        "MARS1": 1_940,
        "N2": 2_910,
        "A00100": 3_880,
        "N00200": 4_850,
        "A00200": 5_820,
        "A00300": 6_790,
        "A00600": 7_760,
        "A00900": 8_730,
        "A01000": -970,
        "A10300": 10_670,
    }
    assert lowest == {
        "tax_year": 2022,
        "geo_level": "county",
        "state_fips": "06",
        "state": "CA",
        "county_fips": "085",
        "county_name": "Santa Clara County",
        "zip_code": None,
        "agi_stub": 1,
        "agi_bracket": "under $1",
        "num_returns": 970,
        "num_individuals": 2_910,
        "agi_kusd": 3_880,
        "wages_returns": 4_850,
        "wages_kusd": 5_820,
        "interest_kusd": 6_790,
        "dividends_kusd": 7_760,
        "business_income_kusd": 8_730,
        "capital_gains_kusd": -970,
        "total_tax_liability_kusd": 10_670,
        "source_file": COUNTY_FILE,
        "source_last_modified": ISSUED,
        "row_hash": lowest["row_hash"],
        "collected_at": irs.now,
    }
    brackets = {(row["geo_level"], row["agi_stub"]): row["agi_bracket"] for row in rows}
    assert brackets["zip", 1] == "$1 under $25,000"
    assert brackets["county", 8] == brackets["zip", 6] == "$200,000 or more"
    assert brackets["county", 0] == brackets["zip", 0] == "all"


def test_files_are_not_sent_again_while_they_are_not_newer(irs):
    on(irs, YESTERDAY).run(YESTERDAY)
    before = len(irs.fake.requests)

    result = on(irs, TODAY).run()

    asked = irs.fake.requests[before:]
    conditions = {request.headers.get("if-modified-since") for request in asked}
    assert irs.rows() == []
    assert "nothing new or revised" in metadata(result)[f"{TODAY}"]["reason"]
    assert conditions == {"Mon, 24 Aug 2026 17:00:00 GMT", None}
    assert [r.path for r in asked if "if-modified-since" not in r.headers] == [
        f"/pub/irs-soi/{name}.csv"
        for name in (
            "23zpallagi",
            "23zpallnoagi",
            "24incyallagi",
            "24incyallnoagi",
            "24zpallagi",
            "24zpallnoagi",
        )
    ]


def test_a_file_that_is_issued_again_gives_revised_rows_only(irs):
    on(irs, DAY_BEFORE).run(DAY_BEFORE)
    reissue(irs, ZIP_FILE, A10300="777")

    result = on(irs, YESTERDAY).run(YESTERDAY)

    (row,) = irs.rows(YESTERDAY)
    assert (row["zip_code"], row["agi_stub"], row["total_tax_liability_kusd"]) == ("94301", 1, 777)
    assert row["source_last_modified"] == datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert metadata(result)[f"{YESTERDAY}"]["unchanged_rows"] == 11

    on(irs, TODAY).run()
    assert irs.rows() == []
    assert irs.fake.asked(ZIP_FILE)[-1].headers["if-modified-since"] == (
        "Sun, 22 Nov 2026 03:00:00 GMT"
    )


def test_another_spelling_of_the_same_figures_is_no_revision(irs):
    on(irs, YESTERDAY).run(YESTERDAY)
    irs.fake.files[COUNTY_FILE] = [
        {
            name.swapcase(): re.sub(r"^(-?\d+)$", r"\1.00000", cell.zfill(2))
            for name, cell in line.items()
            if name not in {"STATEFIPS", "COUNTYFIPS", "agi_stub"}
        }
        | {
            "statefips": line["STATEFIPS"].zfill(2),
            "countyfips": line["COUNTYFIPS"].zfill(3),
            "AGI_STUB": line["agi_stub"],
        }
        for line in irs.fake.files[COUNTY_FILE]
    ]
    irs.fake.encoding = "utf-8-sig"
    irs.fake.modified[COUNTY_FILE] = irs.now

    result = on(irs, TODAY).run()

    assert irs.rows() == []
    assert metadata(result)[f"{TODAY}"]["unchanged_rows"] == 8


def test_a_new_column_is_kept_in_raw_and_makes_a_revision(irs):
    on(irs, YESTERDAY).run(YESTERDAY)
    for line in irs.fake.files["22zpallnoagi.csv"]:
        line["N07262"] = "20.0000"
    irs.fake.modified["22zpallnoagi.csv"] = irs.now

    on(irs, TODAY).run()

    assert [json.loads(row["raw"])["N07262"] for row in irs.rows()] == [20, 20]


def test_a_tax_year_that_comes_out_later_is_found(irs):
    on(irs, YESTERDAY).run(YESTERDAY)
    irs.fake.files["23zpallagi.csv"] = lines("zpallagi", 2023)
    irs.fake.modified["23zpallagi.csv"] = irs.now

    on(irs, TODAY).run()

    assert said(irs.rows()) == [
        (2023, "zip", None, code, stub) for code in ("94301", "95112") for stub in range(1, 7)
    ]


def test_nothing_out_yet_is_no_failure_and_writes_nothing(irs):
    irs.env["IRS_FIRST_TAX_YEAR"] = "2024"

    result = irs.run()

    assert result.success
    assert observed(result)[f"{TODAY}"] == "not published yet: no file of tax year 2024 or later"
    assert irs.days == []


@pytest.mark.parametrize("years_before", [0, 1])
def test_a_file_that_must_be_out_but_is_gone_fails(irs, years_before):
    if years_before:
        irs.env["IRS_FIRST_TAX_YEAR"] = "2021"
    else:
        on(irs, YESTERDAY).run(YESTERDAY)
        del irs.fake.files[COUNTY_FILE]
    file = "21incyallagi.csv" if years_before else COUNTY_FILE

    says = failure(on(irs, TODAY).run())

    assert f"IRS Statistics of Income: {file} should be out, but is not there (404)" in says
    assert TODAY not in irs.days


def test_a_zip_code_that_is_added_is_caught_up_with(irs):
    irs.env["IRS_ZIP_CODES"] = "95112"
    on(irs, YESTERDAY).run(YESTERDAY)
    irs.env["IRS_ZIP_CODES"] = "95112,94301"

    on(irs, TODAY).run()

    assert {row["zip_code"] for row in irs.rows()} == {"94301"}
    assert len(irs.rows()) == 7


def test_a_zip_code_that_no_file_has_is_told(irs):
    irs.env["IRS_ZIP_CODES"] = "95112,94301,95192"

    result = irs.run()

    assert said(irs.rows()) == EXPECTED
    assert "no file has ZIP codes 95192: take them out of IRS_ZIP_CODES" in irs.texts(result)


def test_areas_of_other_states_with_the_same_number_are_left_alone(irs):
    irs.env |= {"IRS_COUNTY": "35013", "IRS_ZIP_CODES": "00000"}

    irs.run()

    assert {(row["state"], row["county_name"]) for row in irs.rows()} == {
        ("NM", "Doña Ana County"),
        ("NM", None),
    }


def test_an_area_that_is_not_there_is_no_empty_success(irs):
    irs.env["IRS_COUNTY"] = "06999"

    assert f"{COUNTY_FILE} has no county of 999" in failure(irs.run())


@pytest.mark.parametrize(
    ("year", "says"),
    [
        ("18", "IRS_FIRST_TAX_YEAR must be 2013 or later, is 18"),
        ("all", "`IRS_FIRST_TAX_YEAR` is no number: 'all'"),
    ],
)
def test_a_first_tax_year_that_is_none_is_named(irs, year, says):
    irs.env["IRS_FIRST_TAX_YEAR"] = year

    assert says in failure(irs.run())
    assert irs.fake.requests == []


def test_the_past_is_not_invented(irs):
    assert "nothing older than 2026-11-23 can be collected" in failure(irs.run(YESTERDAY))
    assert irs.fake.requests == []

    result = irs.run(TODAY - timedelta(days=2), TODAY)

    assert result.success
    assert irs.days == [TODAY]
    assert "out of reach: the IRS shows" in observed(result)[f"{YESTERDAY}"]


def test_a_backfill_keeps_what_is_there_unless_asked(irs):
    irs.run()
    asked = len(irs.fake.requests)

    irs.run(YESTERDAY, TODAY)
    assert len(irs.fake.requests) == asked

    irs.run(YESTERDAY, TODAY, **{"lake/refetch": "true"})
    assert len(irs.fake.requests) == 2 * asked
    assert said(irs.rows()) == EXPECTED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agi_stub": "9"}, "AGI_STUB 9 of a county is unknown"),
        ({"agi_stub": ""}, "AGI_STUB None of a county is unknown"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(irs, change, says):
    reissue(irs, COUNTY_FILE, **change)

    assert says.replace("no whole number: '**'", "no number: '**'") in failure(irs.run())
    assert irs.days == []


@pytest.mark.parametrize("column", ["STATEFIPS", "COUNTYFIPS", "agi_stub", "A10300", "COUNTYNAME"])
def test_a_missing_column_is_named(irs, column):
    for line in irs.fake.files[COUNTY_FILE]:
        del line[column]

    assert f"the column `{column.upper()}` is missing" in failure(irs.run())
    assert irs.days == []


def test_a_line_that_comes_twice_is_kept_once(irs):
    irs.fake.files[ZIP_FILE] += irs.fake.files[ZIP_FILE]

    result = irs.run()

    assert said(irs.rows()) == EXPECTED
    assert metadata(result)[f"{TODAY}"]["repeated_rows"] == 12


def test_rows_are_exact_after_faults_that_pass(irs):
    plans = trouble(irs, COUNTY_FILE, "22zpallnoagi.csv")

    assert irs.run().success

    assert are_over(plans)
    assert said(irs.rows()) == EXPECTED


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(irs):
    spoil, words = LASTING
    irs.fake.break_with(spoil, where=ZIP_FILE, times=99)

    says = failure(irs.run())

    assert "IRS Statistics of Income: GET " in says
    assert words in says
    assert irs.days == []


def to(size):
    """Cut to so many lines, and no length betrays it."""
    return lambda reply: base.replace(reply, body=b"".join(reply.body.splitlines(True)[:size]))


def test_a_file_that_ends_at_the_end_of_a_line_is_not_taken_for_whole(irs):
    irs.fake.break_with(to(40), where=ZIP_FILE, times=99)

    says = failure(irs.run())

    assert "the file broke off: 5 of 51 states (tried 3 times); run it again later" in says
    assert irs.days == []


def test_a_file_whose_quotes_are_broken_is_not_taken_for_whole():
    broken = as_csv(lines("zpallagi", 2022)) + b'56,WY,"' + b"9" * 200_000
    answer = Answer(status=200, headers={}, body=BytesIO(broken), where="GET 22zpallagi.csv")

    with pytest.raises(AskAgain, match="GET 22zpallagi.csv: the file broke off: field larger"):
        list(rows_of(answer, ZIP, state="06", areas={"94301"}))


def test_a_run_after_a_fault_writes_what_a_run_without_one_writes(irs):
    irs.run()
    before = irs.rows()

    irs.fake.break_with(base.truncated, where=ZIP_FILE, times=99)
    assert not irs.run().success
    assert irs.rows() == before

    irs.fake.faults.clear()
    assert irs.run().success
    assert irs.rows() == before


def test_a_large_file_is_read_without_holding_it():
    few = as_csv(lines("zpallagi", 2022))
    head, *body = few.splitlines(keepends=True)
    filler = b"".join(line for line in body if line.startswith(b"56,"))
    size_mb = 20
    whole = head + b"".join(body) + filler * (size_mb * 1024 * 1024 // len(filler))
    answer = Answer(status=200, headers={}, body=BytesIO(whole), where="GET 22zpallagi.csv")

    tracemalloc.start()
    rows = list(rows_of(answer, ZIP, state="06", areas={"94301"}))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(rows) == 6
    assert peak_bytes < 2 * 1024 * 1024

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.edd import CES_NEW_ID, LAUS_ID, FakeEdd, ces, laus
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

YESTERDAY = TODAY - timedelta(days=1)
EXPECTED = [
    ("LAUS", date(2026, 7, 1), None, 993_100),
    ("LAUS", date(2026, 8, 1), None, 993_100),
    ("LAUS", date(2026, 9, 1), None, 993_100),
    ("CES", date(2025, 12, 1), "00000000", 1_140_000),
    ("CES", date(2026, 9, 1), "00000000", 1_146_700),
    ("CES", date(2026, 9, 1), "05000000", 1_043_200),
]


@pytest.fixture
def edd(collecting):
    return collecting("external/scc/edd_labor", FakeEdd())


def on(edd, day):
    """The clock set to noon of a day."""
    edd.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return edd


def said(rows):
    return [
        (
            row["program"],
            row["period_date"],
            row["series_code"],
            row["employment"] or row["industry_employment"],
        )
        for row in rows
    ]


def test_both_programs_become_rows_of_the_county_and_its_metro_area(edd):
    assert edd.run().success

    rows = edd.rows()
    assert said(rows) == EXPECTED
    assert rows[2] == {
        "program": "LAUS",
        "resource_id": LAUS_ID,
        "area_type": "County",
        "area_name": "Santa Clara County",
        "period_date": date(2026, 9, 1),
        "year": 2026,
        "month": 9,
        "seasonally_adjusted": False,
        "status": "Preliminary",
        "series_code": None,
        "industry_title": None,
        "labor_force": 1_041_200,
        "employment": 993_100,
        "unemployment": 48_100,
        "unemployment_rate": 4.6,
        "industry_employment": None,
        "resource_last_modified": datetime(2026, 11, 20, 17, 2, 11, 120_000, tzinfo=UTC),
        "row_hash": rows[2]["row_hash"],
        "collected_at": edd.now,
    }


def test_a_file_that_did_not_change_is_not_read_again(edd):
    on(edd, YESTERDAY).run(YESTERDAY)
    read = len(edd.fake.asked("datastore_search"))

    result = on(edd, TODAY).run()

    assert edd.rows() == []
    assert "nothing new or revised" in metadata(result)[f"{TODAY}"]["reason"]
    assert len(edd.fake.asked("datastore_search")) == read


def test_a_changed_file_gives_new_and_revised_rows_only(edd):
    on(edd, YESTERDAY).run(YESTERDAY)
    table = edd.fake.tables[LAUS_ID]
    table[2] = laus(2026, 9, Employment="992000")
    table.append(laus(2026, 10, status="Preliminary"))
    edd.fake.modified[LAUS_ID] = "2026-11-23T09:00:00"

    on(edd, TODAY).run()

    assert said(edd.rows()) == [
        ("LAUS", date(2026, 9, 1), None, 992_000),
        ("LAUS", date(2026, 10, 1), None, 993_100),
    ]


def test_an_import_that_changes_only_spelling_and_types_is_no_revision(edd):
    on(edd, YESTERDAY).run(YESTERDAY)
    edd.fake.tables[LAUS_ID] = [
        {
            "area_name": f"{row['Area Name']}**",
            "area_type": row["Area Type"],
            "year": int(str(row["Year"])),
            "month": row["Month"],
            "date_numeric": f"{row['Year']}-{str(row['Date_Numeric'])[:2]}-01T00:00:00",
            "seasonally_adjusted__y_n_": row["Seasonally Adjusted(Y/N)"],
            "status": row["Status"],
            "labor_force": 1_041_200,
            "employment": "993,100",
            "unemployment": 48_100.0,
            "unemployment_rate": 0.046,
        }
        for row in edd.fake.tables[LAUS_ID]
    ]
    edd.fake.modified[LAUS_ID] = "2026-11-23T09:00:00"

    result = on(edd, TODAY).run()

    assert edd.rows() == []
    assert metadata(result)[f"{TODAY}"]["unchanged_rows"] == 3


def test_a_row_that_moves_to_another_file_is_no_revision(edd):
    on(edd, YESTERDAY).run(YESTERDAY)
    tables = edd.fake.tables
    tables["ces-0003"] = tables.pop(CES_NEW_ID)
    edd.fake.modified["ces-0003"] = "2026-11-23T09:00:00"
    edd.env["EDD_CES_RESOURCES"] = "ces-0001,ces-0003"

    on(edd, TODAY).run()

    assert edd.rows() == []


def test_pages_are_followed_by_what_came_not_by_what_was_asked_for(edd):
    edd.fake.page_rows = 2
    edd.fake.tables[CES_NEW_ID] = [
        ces(2026, month, "00000000", "Total Nonfarm", str(1_000_000 + month))
        for month in range(1, 8)
    ]

    assert edd.run().success

    jobs = [row["industry_employment"] for row in edd.rows() if row["year"] == 2026]
    assert [count for count in jobs if count] == [1_000_000 + month for month in range(1, 8)]


def test_where_the_table_is_gone_the_file_is_read(edd):
    edd.run()
    from_tables = [
        {name: value for name, value in row.items() if name != "collected_at"} for row in edd.rows()
    ]
    edd.forget()
    edd.fake.without_table = {LAUS_ID, CES_NEW_ID}

    result = edd.run()

    assert result.success, failure(result)
    assert [
        {name: value for name, value in row.items() if name != "collected_at"} for row in edd.rows()
    ] == from_tables
    assert f"the table of file {LAUS_ID} is gone; its file was read instead" in edd.texts(result)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (base.html, "HTML page instead of data"),
        (base.status(404), "HTTP 404"),
        (
            lambda reply: replace(reply, body=reply.body[:-30]),
            "is no whole row",
        ),
        (
            lambda reply: replace(reply, body=reply.body.replace(b"Area Name", b"Place")),
            "the column `Area Name` is missing",
        ),
    ],
)
def test_a_file_that_is_none_fails_the_run(edd, spoil, says):
    edd.fake.without_table = {LAUS_ID}
    edd.fake.break_with(spoil, where="/files/", times=9)

    said = failure(edd.run())
    assert says in said
    assert "sig=" not in said
    assert edd.days == []


def test_rows_that_move_between_pages_fail_the_run(edd):
    edd.fake.page_rows = 1

    def shifted(page):
        page["result"]["records"][0]["_id"] = 1

    edd.fake.break_with(base.rewritten(shifted), where="offset=1", times=99)

    result = edd.run()

    assert "laus-0001 changed while it was read: 2 of 3 rows came; run it again later" in failure(
        result
    )
    assert edd.days == []


def test_a_table_that_is_away_for_a_moment_is_waited_for(edd):
    edd.fake.break_with(base.status(404, text="Not found"), where="datastore_search")

    assert edd.run().success
    assert said(edd.rows()) == EXPECTED


def test_a_new_file_that_no_setting_names_is_told(edd):
    assert "does not name" not in edd.texts(edd.run())

    edd.fake.ces_files.append("ces-of-2027")

    assert "CES has a file that EDD_CES_RESOURCES does not name: ces-of-2027 (CES 2)" in (
        edd.texts(edd.run())
    )


@pytest.mark.parametrize(
    "spoil",
    [
        base.status(404, text="Not found"),
        base.status(403, text="Not authorized"),
        base.status(503, text="busy"),
        base.status(200, text="<html>Sign in</html>"),
        base.rewritten(lambda page: page["result"]["resources"][0].update(id=None)),
    ],
)
def test_a_portal_that_lists_no_files_is_no_fault(edd, spoil):
    edd.fake.break_with(spoil, where="package_show", times=9)

    assert edd.run().success
    assert said(edd.rows()) == EXPECTED


def test_the_past_is_not_invented(edd):
    alone = edd.run(YESTERDAY)
    assert "nothing older than 2026-11-23 can be collected" in failure(alone)
    assert edd.fake.requests == []

    result = edd.run(TODAY - timedelta(days=2), TODAY)

    assert result.success
    assert edd.days == [TODAY]
    assert "out of reach: the portal shows its present state" in observed(result)[f"{YESTERDAY}"]
    assert list(metadata(result)) == [f"{TODAY}"]


def test_an_area_that_is_called_otherwise_is_no_empty_success(edd):
    edd.env["EDD_COUNTY"] = "Santa Klara County"

    assert "no LAUS file has rows of Santa Klara County" in failure(edd.run())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Date_Numeric": "13/2026"}, "no month: date `13/2026`, year `2026`"),
        ({"Year": "2025"}, "no month: date `07/2026`, year `2025`"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(edd, change, says):
    edd.fake.tables[LAUS_ID][0] |= change

    assert says in failure(edd.run())
    assert edd.days == []


def test_a_missing_column_is_named_and_a_new_one_is_no_matter(edd):
    for row in edd.fake.tables[LAUS_ID]:
        row["Brand New"] = "x"
    assert edd.run().success

    for row in edd.fake.tables[LAUS_ID]:
        del row["Labor Force"]
    assert "the column `Labor Force` is missing" in failure(edd.run())


def test_rows_are_exact_after_faults_that_pass(edd):
    plans = trouble(edd, "resource_show", "filters", skip=1)

    assert edd.run().success

    assert are_over(plans)
    assert said(edd.rows()) == EXPECTED


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(edd):
    spoil, words = LASTING
    edd.fake.break_with(spoil, where="filters", times=99)

    result = edd.run()

    assert "California EDD (data.ca.gov): GET " in failure(result)
    assert words in failure(result)
    assert edd.days == []


def test_a_source_that_is_down_fails_the_run_and_the_next_run_is_whole(edd):
    edd.env["LAKE_HTTP_ATTEMPTS"] = "1"
    down = edd.fake.break_with(base.status(503), times=99)

    assert "HTTP 503: busy (tried once); run it again later" in failure(edd.run())
    assert edd.days == []

    down.times = 0
    assert edd.run().success
    assert said(edd.rows()) == EXPECTED
    assert observed(edd.run()) == {}

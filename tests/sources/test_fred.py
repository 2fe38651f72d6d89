import json
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.fred import KEY, FakeFred, Vintage
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

JULY, AUGUST, SEPTEMBER = (date(2026, month, 1) for month in (7, 8, 9))
COUNTY = [
    ("CASANT5URN", JULY, 4.5, date(2026, 8, 20)),
    ("CASANT5URN", AUGUST, 4.6, date(2026, 9, 20)),
    ("CASANT5URN", SEPTEMBER, None, date(2026, 10, 21)),
    ("UNRATE", JULY, 4.2, date(2026, 8, 5)),
]


@pytest.fixture
def fred(collecting):
    return collecting("external/scc/fred_indicators", FakeFred())


def said(rows):
    names = ("series_id", "observation_date", "value", "realtime_start")
    return [tuple(row[name] for name in names) for row in rows]


def test_every_vintage_that_is_out_becomes_a_row(fred):
    assert fred.run().success

    rows = fred.rows()
    assert said(rows) == COUNTY
    assert rows[0] == {
        "series_id": "CASANT5URN",
        "title": "Title of CASANT5URN",
        "frequency": "Monthly",
        "units": "Percent",
        "seasonal_adjustment": "Not Seasonally Adjusted",
        "observation_date": JULY,
        "value": 4.5,
        "realtime_start": date(2026, 8, 20),
        "realtime_end": TODAY,
        "series_last_updated": datetime(2026, 11, 21, 13, 48, 9, tzinfo=UTC),
        "row_hash": rows[0]["row_hash"],
        "collected_at": fred.now,
    }
    assert len({row["row_hash"] for row in rows}) == 4


def test_the_next_day_has_only_what_is_new_or_revised(fred):
    fred.run(TODAY - timedelta(days=1))
    fred.fake.series["CASANT5URN"] += [
        Vintage(AUGUST, TODAY, "4.7"),
        Vintage(date(2026, 10, 1), TODAY, "4.4"),
    ]

    result = fred.run()

    assert said(fred.rows()) == [
        ("CASANT5URN", AUGUST, 4.7, TODAY),
        ("CASANT5URN", date(2026, 10, 1), 4.4, TODAY),
    ]
    assert metadata(result)["2026-11-23"]["unchanged_rows"] == 4


def test_nothing_new_is_a_success_without_rows_and_with_a_reason(fred):
    fred.run(TODAY - timedelta(days=1))

    result = fred.run()

    assert result.success
    assert fred.rows() == []
    day = metadata(result)["2026-11-23"]
    assert (day["rows"], day["reason"]) == (0, "nothing new or revised since the last time")


def test_a_day_written_again_keeps_its_rows(fred):
    fred.run()
    before = fred.rows()

    fred.run()

    assert fred.rows() == before


def test_a_backfill_gives_each_day_what_was_known_on_it_and_asks_once(fred):
    first, last = date(2026, 9, 18), date(2026, 10, 22)

    assert fred.run(first, last).success

    news = {day: said(fred.rows(day)) for day in fred.days if fred.rows(day)}
    assert news == {
        first: [COUNTY[0], COUNTY[3]],
        date(2026, 9, 20): [COUNTY[1]],
        date(2026, 10, 21): [COUNTY[2]],
    }
    assert len(fred.days) == 35
    assert len(fred.fake.requests) == 4


def test_a_day_alone_is_as_in_a_backfill_and_knows_nothing_of_later_days(fred):
    day = date(2026, 10, 21)
    fred.fake.series["CASANT5URN"] += [Vintage(SEPTEMBER, day + timedelta(days=1), "4.4")]
    fred.run(day - timedelta(days=40), day + timedelta(days=2))
    within = fred.rows(day)

    fred.run(day)

    assert fred.rows(day) == within
    assert [(row["value"], row["realtime_end"]) for row in within] == [(None, day)]


def test_a_backfill_keeps_days_that_are_there_unless_asked(fred):
    fred.run(date(2026, 10, 1), date(2026, 10, 3))
    asked = len(fred.fake.requests)

    kept = fred.run(date(2026, 10, 1), date(2026, 10, 3))
    assert kept.success
    assert len(fred.fake.requests) == asked
    assert "kept as it is" in metadata(kept)["2026-10-02"]["reason"]
    assert [metadata(kept)[f"2026-10-0{day}"]["rows"] for day in (1, 2, 3)] == [3, 0, 0]

    fred.run(date(2026, 10, 1), date(2026, 10, 4))
    assert fred.days[-1] == date(2026, 10, 4)
    fred.run(date(2026, 10, 1), date(2026, 10, 3), **{"lake/refetch": "true"})
    assert len(fred.fake.requests) == asked + 8
    assert len(fred.rows(date(2026, 10, 1))) == 3


def pages_of_one(reply):
    """The first observation of those that came, as if a page had no more."""
    page = json.loads(reply.body)
    page["observations"] = page["observations"][:1]
    return base.as_json(page)


def test_pages_are_followed_by_what_came(fred):
    fred.fake.break_with(pages_of_one, where="observations", times=99)

    assert fred.run().success

    assert said(fred.rows()) == COUNTY
    offsets = [request.query["offset"] for request in fred.fake.asked("observations")]
    assert offsets == ["0", "1", "2", "0"]


def test_pages_that_end_before_their_count_fail(fred):
    def end(page):
        page["observations"] = []

    fred.fake.break_with(base.rewritten(end), where="observations")

    assert "CASANT5URN: 0 of 3 observations came" in failure(fred.run())
    assert fred.days == []


def test_a_series_without_observations_is_empty_and_no_fault(fred):
    fred.fake.series = {"CASANT5URN": []}
    fred.env["FRED_SERIES"] = "CASANT5URN"

    assert fred.run().success

    assert fred.rows() == []


@pytest.mark.parametrize(
    ("moment", "today_in_st_louis"),
    [
        (datetime(2026, 11, 23, 5, 59, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 23, 6, tzinfo=UTC), TODAY),
    ],
)
def test_no_vintage_is_asked_for_of_a_day_that_has_not_begun_in_st_louis(
    fred, moment, today_in_st_louis
):
    fred.now, fred.fake.today = moment, today_in_st_louis

    assert fred.run().success

    asked = {request.query["realtime_end"] for request in fred.fake.asked("observations")}
    assert asked == {f"{today_in_st_louis}"}
    assert said(fred.rows()) == COUNTY


def test_leap_days_and_ends_of_months_are_days_like_any(collecting):
    leap = date(2024, 2, 29)
    fred = collecting("external/scc/fred_indicators", FakeFred(leap))
    fred.fake.series = {
        "CASANT5URN": [
            Vintage(date(2024, 1, 31), leap - timedelta(days=1), "4.5"),
            Vintage(leap, leap, "4.6"),
        ]
    }
    fred.env["FRED_SERIES"] = "CASANT5URN"
    fred.now = datetime(2024, 2, 29, 12, tzinfo=UTC)

    fred.run(leap - timedelta(days=1), leap)

    assert [len(fred.rows(day)) for day in fred.days] == [1, 1]
    assert said(fred.rows(leap)) == [("CASANT5URN", leap, 4.6, leap)]


def test_a_missing_key_skips_the_run_and_says_which(fred):
    del fred.env["FRED_API_KEY"]

    result = fred.run()

    assert result.success
    assert observed(result) == {
        "2026-11-23": "Skipped: FRED (St. Louis Fed) is not configured: set FRED_API_KEY"
    }
    assert metadata(result) == {}
    assert list(result.get_asset_check_evaluations()) == []
    assert fred.days == []
    assert fred.fake.requests == []


def test_an_unknown_series_is_left_out_with_a_warning(fred):
    fred.env["FRED_SERIES"] = "NOSUCH,CASANT5URN"

    result = fred.run()

    assert said(fred.rows()) == COUNTY[:3]
    assert "does not know these series, or not their vintages: NOSUCH" in fred.texts(result)


def test_no_known_series_at_all_fails(fred):
    fred.env["FRED_SERIES"] = "NOSUCH"

    assert "FRED knows none of the series in FRED_SERIES" in failure(fred.run())


def test_a_key_that_is_refused_under_load_is_tried_again(fred):
    fred.fake.break_with(
        base.status(400, text="Bad Request. The value for variable api_key is not registered.")
    )

    assert fred.run().success
    assert said(fred.rows()) == COUNTY


def test_rows_are_exact_after_faults_that_pass(fred):
    plans = trouble(fred, "observations", "UNRATE")

    assert fred.run().success

    assert are_over(plans)
    assert said(fred.rows()) == COUNTY


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(fred):
    spoil, words = LASTING
    fred.fake.break_with(spoil, where="observations", times=99)

    result = fred.run()

    assert words in failure(result)
    assert fred.days == []


def test_a_retyped_or_missing_field_is_named_and_a_new_one_is_no_matter(fred):
    fred.fake.break_with(
        base.rewritten(lambda page: page["observations"][0].update(value=4.5)), where="observations"
    )
    assert fred.run().success
    assert 4.5 in [row["value"] for row in fred.rows()]

    fred.fake.break_with(
        base.rewritten(lambda page: page["observations"][0].pop("realtime_start")),
        where="observations",
    )
    assert "missing required field `realtime_start`" in failure(fred.run())

    fred.fake.break_with(
        base.rewritten(lambda page: page["observations"][0].update(note="x")), where="observations"
    )
    assert fred.run().success


def test_rows_that_come_twice_are_kept_once(fred):
    fred.fake.break_with(
        base.rewritten(lambda page: page["observations"].append(page["observations"][0])),
        where="observations",
    )

    result = fred.run()

    assert said(fred.rows()) == COUNTY
    assert metadata(result)["2026-11-23"]["repeated_rows"] == 1


def test_the_key_appears_nowhere(fred, caplog):
    caplog.set_level("DEBUG")
    fred.fake.break_with(base.status(418, text=f"I know {KEY}"), where="observations", times=99)

    result = fred.run()

    assert "api_key=***" in failure(result)
    assert KEY not in fred.texts(result)
    assert KEY not in caplog.text
    assert all(request.query["api_key"] == KEY for request in fred.fake.requests)

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import pytest

from tests.fakes import base
from tests.fakes.dealroom import TOKEN, FakeDealroom, session
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in

YESTERDAY = TODAY - timedelta(days=1)
ANN = sha256(b"ann.visitor@example.com").hexdigest()


@pytest.fixture
def dealroom(collecting):
    return collecting("external/dealroom/sessions", FakeDealroom())


def ids(rows):
    return [row["session_id"] for row in rows]


def expected(day=YESTERDAY):
    return [f"ses_{day:%Y%m%d}{clock}_1" for clock in ("000000", "101500", "235959")]


def test_the_sessions_of_a_day_become_rows_without_people(dealroom):
    assert dealroom.run(YESTERDAY).success

    rows = dealroom.rows(YESTERDAY)
    assert ids(rows) == expected()
    created = datetime(2026, 11, 22, tzinfo=UTC)
    assert rows[0] == {
        "session_id": "ses_20261122000000_1",
        "room_id": "room_series_a",
        "deal_id": "deal_17",
        "visitor_id": "vis_42",
        "visitor_email_hash": ANN,
        "organization": "North Fund ([address])",
        "role": "investor",
        "started_at": created - timedelta(minutes=30),
        "ended_at": created - timedelta(seconds=5),
        "duration_s": 1_795,
        "documents_viewed": 4,
        "pages_viewed": 31,
        "downloads": 1,
        "questions_asked": 0,
        "referrer": "https://mail.example/inbox",
        "country": "US",
        "created_at": created,
        "collected_at": dealroom.now,
    }
    assert (rows[1]["ended_at"], rows[1]["duration_s"]) == (None, None)
    assert leaks_in(dealroom, words=("visitor@", "Ann Visitor")) == []


def test_people_are_hashed_and_masked_wherever_they_are_told(dealroom):
    dealroom.fake.sessions = [
        session(
            YESTERDAY,
            "10:00:00",
            visitor_id="Ann.Visitor@example.com",
            visitor_email=None,
            visitor_email_hash=ANN,
            organization="+1 408 555 0142",
            referrer="//ann.visitor@example.com/[broken?x=4242424242424242",
        ),
        session(YESTERDAY, "11:00:00", visitor_email=None, organization=None, referrer=None),
    ]

    dealroom.run(YESTERDAY)

    told, bare = dealroom.rows(YESTERDAY)
    assert (told["visitor_id"], told["visitor_email_hash"]) == (ANN, ANN)
    assert told["organization"] == "[number]"
    assert (bare["visitor_email_hash"], bare["organization"], bare["referrer"]) == (None,) * 3
    assert leaks_in(dealroom, words=("visitor@", "Ann")) == []


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 12, 31)])
def test_leap_days_and_ends_of_years_are_days_like_any(collecting, day):
    lake = collecting("external/dealroom/sessions", FakeDealroom(day + timedelta(days=1)))

    lake.run(day)

    assert ids(lake.rows(day)) == expected(day)


def test_days_begin_and_end_at_midnight_utc_in_whatever_zone_they_are_told(dealroom):
    dealroom.fake.sessions = [
        session(YESTERDAY, "12:00:00", n, created_at=f"{day}T{rest}")
        for n, (day, rest) in enumerate(
            [
                (YESTERDAY, "01:59:59+02:00"),
                (YESTERDAY, "02:00:00+02:00"),
                (YESTERDAY, "18:59:59.999999-05:00"),
                (YESTERDAY, "19:00:00-05:00"),
            ]
        )
    ]

    dealroom.run(YESTERDAY)

    assert [row["session_id"][-2:] for row in dealroom.rows(YESTERDAY)] == ["_1", "_2"]


def test_sessions_outside_the_day_are_not_taken_even_if_they_come(dealroom):
    stray = session(TODAY, "00:00:00")
    dealroom.fake.break_with(base.rewritten(lambda page: page["sessions"].append(stray)))

    dealroom.run(YESTERDAY)

    assert ids(dealroom.rows(YESTERDAY)) == expected()


def test_a_day_with_many_sessions_is_read_page_by_page(dealroom):
    dealroom.fake.sessions = [session(YESTERDAY, "10:00:00", n) for n in range(1_205)]

    dealroom.run(YESTERDAY)

    assert len(dealroom.rows(YESTERDAY)) == len(set(ids(dealroom.rows(YESTERDAY)))) == 1_205
    assert len(dealroom.fake.requests) == 3


def test_sessions_that_come_twice_are_kept_once(dealroom):
    dealroom.fake.page_rows = 2
    twice = session(YESTERDAY, "00:00:00")
    dealroom.fake.break_with(
        base.rewritten(lambda page: page["sessions"].insert(0, twice)), where="cursor"
    )

    result = dealroom.run(YESTERDAY)

    assert ids(dealroom.rows(YESTERDAY)) == expected()
    assert metadata(result)[f"{YESTERDAY}"]["repeated_rows"] == 1


@pytest.mark.parametrize("cursor", [None, "0"], ids=["ends early", "turns in circles"])
def test_sessions_that_do_not_all_come_are_told(dealroom, cursor):
    dealroom.fake.page_rows = 2
    dealroom.fake.break_with(
        base.rewritten(lambda page: page.update(next_cursor=cursor)), where="from", times=99
    )

    assert "2 of 3 sessions came" in failure(dealroom.run(YESTERDAY))
    assert dealroom.days == []


def test_a_backfill_writes_each_day_and_a_schedule_asks_again(dealroom):
    first = TODAY - timedelta(days=5)
    assert dealroom.run(first, YESTERDAY).success
    assert [ids(dealroom.rows(day)) for day in dealroom.days] == [
        expected(first + timedelta(days=step)) for step in range(5)
    ]
    asked = len(dealroom.fake.requests)
    dealroom.fake.sessions.append(session(YESTERDAY, "23:00:00", 9))

    dealroom.run(first, YESTERDAY)
    assert len(dealroom.fake.requests) == asked

    dealroom.run(YESTERDAY - timedelta(days=1), YESTERDAY, **{"dagster/schedule_name": "x"})
    assert len(dealroom.rows(YESTERDAY)) == 4


def test_a_quiet_day_is_a_success_without_rows(dealroom):
    dealroom.fake.sessions = []

    result = dealroom.run(YESTERDAY)

    assert dealroom.rows(YESTERDAY) == []
    assert metadata(result)[f"{YESTERDAY}"]["reason"] == "the source has no rows for the day"


def test_rows_are_exact_after_faults_that_pass(dealroom):
    dealroom.fake.page_rows = 2
    dealroom.run(YESTERDAY)
    without = dealroom.rows(YESTERDAY)
    plans = trouble(dealroom, "cursor", "from")

    assert dealroom.run(YESTERDAY).success

    assert are_over(plans)
    assert dealroom.rows(YESTERDAY) == without
    assert ids(without) == expected()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page.pop("total"), "missing required field `total`"),
        (lambda page: page["sessions"][1].pop("room_id"), "missing required field `room_id`"),
        (
            lambda page: page["sessions"][1].update(created_at="2026-11-22T10:00:00"),
            "`$.sessions[1].created_at`",
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named(dealroom, change, says):
    dealroom.fake.break_with(base.rewritten(change))

    assert says in failure(dealroom.run(YESTERDAY))
    assert dealroom.days == []


def test_a_new_field_is_no_matter(dealroom):
    def change(page):
        page["note"] = "x"
        for each in page["sessions"]:
            each["mood"] = "x"

    dealroom.fake.break_with(base.rewritten(change))

    assert dealroom.run(YESTERDAY).success
    assert ids(dealroom.rows(YESTERDAY)) == expected()


def test_missing_settings_skip_the_run_and_are_named(dealroom):
    del dealroom.env["DEALROOM_API_TOKEN"], dealroom.env["DEALROOM_BASE_URL"]

    assert observed(dealroom.run(YESTERDAY)) == {
        f"{YESTERDAY}": "Skipped: Deal room is not configured: "
        "set DEALROOM_API_TOKEN, DEALROOM_BASE_URL"
    }
    assert dealroom.fake.requests == []


def test_the_token_appears_nowhere(dealroom, caplog):
    caplog.set_level("DEBUG")
    dealroom.fake.break_with(base.status(401, text=f"bad {TOKEN}"), times=99)

    result = dealroom.run(YESTERDAY)

    assert "bad ***" in failure(result)
    assert TOKEN not in dealroom.texts(result)
    assert TOKEN not in caplog.text

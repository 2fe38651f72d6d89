import json
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.luma import CALENDAR, KEY, FakeLuma, at, event
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in
from tests.sources.stored import stored_bytes

IDS = ["evt-past", "evt-online", "evt-listed"]


@pytest.fixture
def luma(collecting):
    return collecting("external/luma/events", FakeLuma())


def ids(rows):
    return [row["event_id"] for row in sorted(rows, key=lambda row: row["start_at"])]


def test_every_event_of_the_window_becomes_a_row(luma):
    assert luma.run().success

    assert ids(luma.rows()) == IDS
    rows = {row["event_id"]: row for row in luma.rows()}
    past = dict(rows["evt-past"])
    raw = json.loads(past.pop("raw"))
    start = at(TODAY - timedelta(days=20))
    assert past == {
        "event_id": "evt-past",
        "calendar_id": None,
        "platform_name": "luma",
        "name": "Event evt-past",
        "status": None,
        "access": "manage",
        "url": "https://luma.com/evt-past",
        "start_at": start,
        "end_at": start + timedelta(hours=3),
        "timezone": "America/Los_Angeles",
        "visibility": "public",
        "location_type": "offline",
        "city": "San Jose",
        "region": "California",
        "country": "United States",
        "full_address": "1 Main St, San Jose, California, United States",
        "meeting_url": None,
        "cover_url": "https://images.lumacdn.com/cover.png",
        "host_name": "Ann",
        "created_at": datetime(2026, 9, 1, 10, tzinfo=UTC),
        "collected_at": luma.now,
    }
    assert raw["geo_address_json"]["type"] == "google"
    online = rows["evt-online"]
    assert (online["city"], online["meeting_url"]) == (None, "https://zoom.us/j/1")
    assert (online["calendar_id"], online["status"]) == (CALENDAR, "approved")
    listed = rows["evt-listed"]
    assert (listed["access"], listed["city"], listed["host_name"]) == ("view", "San Jose", None)


def test_addresses_hosts_and_passwords_are_not_in_what_is_stored_as_given(luma):
    luma.run()

    assert leaks_in(luma) == []
    raw = json.loads(luma.rows()[0]["raw"])
    assert raw["description_md"] == "Write to [address]"
    assert not {"hosts", "feedback_email", "zoom_password"} & set(raw)


def test_the_window_is_from_30_days_back_to_365_ahead_in_utc(luma):
    first, last = TODAY - timedelta(days=30), TODAY + timedelta(days=365)
    luma.fake.events = [
        event("before", at(first, 0) - timedelta(seconds=1)),
        event("first", at(first, 0)),
        event("last", at(last, 23, 59, 59)),
        event("after", at(last + timedelta(days=1), 0)),
    ]

    luma.run()

    assert ids(luma.rows()) == ["first", "last"]


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 3, 30), date(2025, 12, 31)])
def test_leap_day_change_of_clocks_and_end_of_year_are_days_like_any(collecting, day):
    luma = collecting("external/luma/events", FakeLuma(day))
    luma.now = at(day, 2)

    assert luma.run(day).success

    assert ids(luma.rows(day)) == IDS


def test_pages_are_followed_by_their_cursors(luma):
    luma.fake.most = 2
    luma.fake.events = [event(f"evt-{n}", at(TODAY, n)) for n in range(5)]

    luma.run()

    assert ids(luma.rows()) == [f"evt-{n}" for n in range(5)]
    cursors = [request.query.get("pagination_cursor") for request in luma.fake.requests]
    assert cursors == [None, "2", "4"]


def test_an_event_on_two_pages_is_kept_once(luma):
    luma.fake.most = 2
    luma.fake.break_with(
        base.rewritten(lambda page: page["entries"].append(page["entries"][0])), where="events/list"
    )

    result = luma.run()

    assert ids(luma.rows()) == IDS
    assert metadata(result)[f"{TODAY}"]["repeated_rows"] == 1


@pytest.mark.parametrize("cursor", [None, "2"])
def test_more_events_without_a_new_cursor_are_no_end(luma, cursor):
    luma.fake.most = 1

    def endless(page):
        page |= {"has_more": True, "next_cursor": cursor}

    luma.fake.break_with(base.rewritten(endless), where="events/list", times=99)

    assert "Luma has more events and does not say where" in failure(luma.run())
    assert luma.days == []


def test_entries_of_the_older_shape_are_read_as_well(luma):
    old = event("unused", at(TODAY))
    del old["id"]
    wrapped = {"api_id": "calev-1", "event": old | {"api_id": "evt-old"}, "access": "manage"}
    luma.fake.break_with(
        base.rewritten(lambda page: page.update(entries=[wrapped])), where="events/list"
    )

    luma.run()

    assert ids(luma.rows()) == ["evt-old"]
    assert leaks_in(luma) == []


def test_a_key_of_an_organization_names_its_calendar(luma):
    luma.fake.calendar = luma.env["LUMA_CALENDAR_ID"] = "cal-org"

    luma.run()

    calendars = {row["event_id"]: row["calendar_id"] for row in luma.rows()}
    assert calendars == {"evt-past": "cal-org", "evt-online": CALENDAR, "evt-listed": "cal-org"}


def test_a_past_day_cant_be_read_and_that_is_said_before_anything_is_asked(luma):
    result = luma.run(TODAY - timedelta(days=1))

    assert "Luma shows its calendar as it stands today only" in failure(result)
    assert luma.fake.requests == []


def test_an_empty_calendar_is_a_success_without_rows(luma):
    luma.fake.events = []

    result = luma.run()

    assert luma.rows() == []
    assert metadata(result)[f"{TODAY}"]["reason"] == "the source has no rows for the day"


def test_a_missing_key_skips_the_run_and_says_which(luma):
    del luma.env["LUMA_API_KEY"]

    result = luma.run()

    assert result.success
    assert observed(result) == {f"{TODAY}": "Skipped: Luma is not configured: set LUMA_API_KEY"}
    assert luma.days == []
    assert luma.fake.requests == []


def test_a_refused_key_fails(luma):
    luma.fake.key = "another"

    assert "HTTP 401" in failure(luma.run())


def test_bytes_are_the_same_after_faults_that_pass(luma):
    luma.fake.most = 2
    luma.run()
    untroubled = stored_bytes(luma, TODAY)
    plans = trouble(luma, "events/list", "pagination_cursor=2")

    assert luma.run().success

    assert are_over(plans)
    assert stored_bytes(luma, TODAY) == untroubled


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page["entries"][0].update(start_at=5), "Expected `datetime`, got `int`"),
        (lambda page: page["entries"][0].pop("start_at"), "missing required field `start_at`"),
        (lambda page: page["entries"][0].update(start_at="soon"), "Invalid RFC3339"),
        (lambda page: page["entries"][0].pop("id"), "has neither `id` nor `api_id`"),
        (lambda page: page.pop("entries"), "missing required field `entries`"),
        (lambda page: page.pop("has_more"), "missing required field `has_more`"),
    ],
)
def test_a_field_that_does_not_fit_is_named(luma, change, says):
    luma.fake.break_with(base.rewritten(change), where="events/list")

    assert says in failure(luma.run())
    assert luma.days == []


def test_a_new_field_is_kept_as_given(luma):
    luma.fake.break_with(
        base.rewritten(lambda page: page["entries"][0].update(capacity=80)), where="events/list"
    )

    assert luma.run().success
    (past,) = [row for row in luma.rows() if row["event_id"] == "evt-past"]
    assert json.loads(past["raw"])["capacity"] == 80


def test_the_key_appears_nowhere(luma, caplog):
    caplog.set_level("DEBUG")
    luma.fake.break_with(base.status(418, text=f"I know {KEY}"), times=99)

    result = luma.run()

    assert "I know ***" in failure(result)
    assert KEY not in luma.texts(result)
    assert KEY not in caplog.text

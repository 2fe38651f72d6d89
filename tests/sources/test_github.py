import json
from collections import Counter
from datetime import date, timedelta

import pytest

from lake_assets.catalog import load_catalog
from lake_assets.catalog.due import poll_days
from tests.fakes import base
from tests.fakes.github import TOKEN, Event, FakeGithub, at
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in
from tests.sources.stored import stored_bytes

YESTERDAY = TODAY - timedelta(days=1)
BEFORE = TODAY - timedelta(days=2)
IDS = ["1002", "1003", "1004", "2001"]


@pytest.fixture
def github(collecting):
    return collecting("github_events", FakeGithub())


def ids(rows):
    return sorted(row["event_id"] for row in rows)


def many(count, day, *, first_id=0):
    """Events of one day, one a minute."""
    return [Event(id=f"{first_id + n}", at=at(day, 0) + timedelta(minutes=n)) for n in range(count)]


def test_the_events_of_a_day_become_rows(github):
    assert github.run(YESTERDAY).success

    rows = {row["event_id"]: row for row in github.rows(YESTERDAY)}
    assert sorted(rows) == IDS
    payload = rows["1002"].pop("payload")
    assert rows["1002"] == {
        "event_id": "1002",
        "event_type": "PushEvent",
        "repo": "org/lake",
        "repo_id": 2,
        "actor_login": "octo",
        "actor_id": 7,
        "org_login": "org",
        "action": None,
        "ref": "refs/heads/main",
        "head_sha": "a" * 40,
        "number": None,
        "is_public": True,
        "created_at": at(YESTERDAY),
        "collected_at": github.now,
    }
    assert json.loads(payload) == {
        "repository_id": 2,
        "push_id": 1002,
        "ref": "refs/heads/main",
        "head": "a" * 40,
        "before": "b" * 40,
    }
    opened = rows["1003"]
    assert (opened["action"], opened["number"], opened["head_sha"]) == ("opened", 12, "c" * 40)
    commented = rows["1004"]
    assert (commented["action"], commented["number"], commented["head_sha"]) == ("created", 5, None)


def test_texts_and_addresses_are_not_stored(github):
    github.run(YESTERDAY)

    (commented,) = [row for row in github.rows(YESTERDAY) if row["event_id"] == "1004"]
    assert json.loads(commented["payload"]) == {
        "action": "created",
        "issue": {"number": 5, "title": "Mail to [address] bounces"},
        "comment": {"id": 1, "user": {"login": "octo"}},
    }
    assert leaks_in(github) == []


def test_a_day_begins_and_ends_at_midnight_utc(github):
    edges = [
        Event(id="1", at=at(YESTERDAY, 0) - timedelta(seconds=1)),
        Event(id="2", at=at(YESTERDAY, 0)),
        Event(id="3", at=at(TODAY, 0) - timedelta(seconds=1)),
        Event(id="4", at=at(TODAY, 0)),
    ]
    github.fake.feeds = {"org/lake": edges, "org/docs": []}

    github.run(BEFORE, TODAY)

    assert [ids(github.rows(day)) for day in (BEFORE, YESTERDAY, TODAY)] == [
        ["1"],
        ["2", "3"],
        ["4"],
    ]


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2026, 10, 31), date(2025, 12, 31)])
def test_leap_day_and_ends_of_months_are_days_like_any(collecting, day):
    fake = FakeGithub(day + timedelta(days=1))
    github = collecting("github_events", fake)
    github.now = at(fake.today, 8)

    github.run(day)

    assert ids(github.rows(day)) == IDS


def test_pages_end_with_an_empty_one_not_with_a_short_one(github):
    github.fake.page_rows = 2
    feed = many(7, YESTERDAY)
    feed[3].visible = False
    github.fake.feeds = {"org/lake": feed}
    github.env["GITHUB_REPOS"] = "org/lake"

    github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == ["0", "1", "2", "4", "5", "6"]
    assert [r.query["page"] for r in github.fake.requests] == ["1", "2", "3", "4", "5"]


def test_pages_older_than_the_day_are_not_asked_for(github):
    github.fake.page_rows = 2
    github.fake.feeds = {"org/lake": many(1, YESTERDAY, first_id=100) + many(9, BEFORE)}
    github.env["GITHUB_REPOS"] = "org/lake"

    github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == ["100"]
    assert len(github.fake.requests) == 2


def test_pages_that_shift_while_they_are_read_give_no_row_twice(github):
    github.fake.page_rows = 2
    github.fake.feeds = {"org/lake": many(4, YESTERDAY)}
    github.env["GITHUB_REPOS"] = "org/lake"
    new = Event(id="9", at=at(TODAY, 7))

    def shift(reply):
        github.fake.feeds["org/lake"].append(new)
        return reply

    github.fake.break_with(shift, where="page=1")

    result = github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == ["0", "1", "2", "3"]
    assert metadata(result)[f"{YESTERDAY}"]["repeated_rows"] == 1


def test_a_backfill_asks_for_each_feed_once(github):
    github.fake.feeds = {
        "org/lake": [
            event
            for back in range(30)
            for event in many(3, TODAY - timedelta(days=back), first_id=back * 10)
        ],
        "org/docs": [],
    }

    assert github.run(TODAY - timedelta(days=29), TODAY).success

    assert len(github.days) == 30
    assert all(len(github.rows(day)) == 3 for day in github.days)
    assert [r.query["page"] for r in github.fake.asked("org/lake")] == ["1", "2"]
    assert len(github.fake.asked("org/docs")) == 1


def test_a_day_that_the_feed_has_in_part_is_written_with_a_warning(github):
    github.fake.feeds["org/lake"] = many(500, YESTERDAY)

    result = github.run(YESTERDAY)

    assert len(github.rows(YESTERDAY)) == 301
    assert (
        f"{YESTERDAY} is incomplete: the feed of org/lake reaches back to {YESTERDAY} 03:20 UTC"
    ) in github.texts(result)


def test_a_day_that_is_written_again_keeps_what_the_feed_has_lost_since(github):
    github.fake.feeds["org/lake"] = many(200, YESTERDAY)
    github.run(YESTERDAY)
    github.now += timedelta(hours=6)
    github.fake.feeds["org/lake"] += many(200, TODAY, first_id=500)

    again = github.run(YESTERDAY)

    assert metadata(again)[f"{YESTERDAY}"]["rows"] == 201
    assert metadata(again)[f"{YESTERDAY}"]["kept_rows"] == 100
    assert len(ids(github.rows(YESTERDAY))) == len(set(ids(github.rows(YESTERDAY)))) == 201
    assert Counter(row["collected_at"] for row in github.rows(YESTERDAY)) == {
        github.now: 101,
        github.now - timedelta(hours=6): 100,
    }

    github.run(YESTERDAY, **{"lake/replace": "true"})
    assert len(github.rows(YESTERDAY)) == 101


def test_a_day_of_which_the_feed_has_nothing_left_fails_and_stays_as_it_was(github):
    github.fake.feeds = {"org/lake": many(2, BEFORE)}
    github.env["GITHUB_REPOS"] = "org/lake"
    github.run(BEFORE)
    github.fake.feeds["org/lake"] += many(400, YESTERDAY, first_id=100)

    assert (
        f"GitHub shows nothing of {BEFORE} any more: the feed of org/lake reaches back to "
        f"{YESTERDAY} 01:40 UTC only"
    ) in failure(github.run(BEFORE))
    assert ids(github.rows(BEFORE)) == ["0", "1"]


def test_days_out_of_reach_are_said_before_anything_is_asked(github):
    result = github.run(TODAY - timedelta(days=30))

    assert "GitHub shows the last 30 days to the hour, and at most 300 events" in failure(result)
    assert github.fake.requests == []


def test_a_quiet_day_is_a_success_without_rows(github):
    quiet = TODAY - timedelta(days=5)

    result = github.run(quiet)

    assert github.rows(quiet) == []
    assert metadata(result)[f"{quiet}"]["reason"] == "the source has no rows for the day"


def test_a_repository_that_the_token_cant_see_is_left_out_with_a_warning(github):
    github.env["GITHUB_REPOS"] += ",org/secret"

    result = github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == IDS
    said = github.texts(result)
    assert "does not show these repositories: org/secret (" in said
    assert "HTTP 404" in said


@pytest.mark.parametrize("refusal", [403, 410, 451])
def test_a_repository_that_github_refuses_stops_no_other(github, refusal):
    github.fake.break_with(base.status(refusal, text="access blocked"), where="org/docs")

    result = github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == ["1002", "1003", "1004"]
    assert f"org/docs (GET {github.fake.url}/repos/org/docs/events" in github.texts(result)


def test_a_renamed_repository_is_read_under_its_number_and_told(github):
    github.env["GITHUB_REPOS"] = "org/lake,org/papers"
    github.fake.renamed["org/papers"] = "org/docs"
    github.fake.numbers["org/papers"] = 3

    result = github.run(BEFORE, YESTERDAY, **{"dagster/schedule_name": "x"})

    assert result.success
    assert ids(github.rows(YESTERDAY)) == IDS
    assert {row["repo"] for row in github.rows(YESTERDAY)} == {"org/lake", "org/docs"}
    assert "org/papers was renamed: write its new name into GITHUB_REPOS" in github.texts(result)
    asked = github.fake.asked("repositories/3")
    assert asked
    assert all(request.query["per_page"] == "100" for request in asked)


@pytest.mark.parametrize("location", ["https://elsewhere.example/x", "", "/login"])
def test_a_redirect_to_elsewhere_stops_no_other_and_gets_no_token(github, location):
    def moved(_reply):
        return base.Reply(status=301, headers={"location": location} if location else {})

    github.fake.break_with(moved, where="org/docs", times=9)

    result = github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == ["1002", "1003", "1004"]
    assert "does not show these repositories: org/docs (" in github.texts(result)


def test_no_visible_repository_at_all_fails(github):
    github.env["GITHUB_REPOS"] = "org/secret,org/gone"

    said = failure(github.run(YESTERDAY))
    assert "GitHub shows none of these repositories: org/secret (" in said
    assert "org/gone (" in said


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOS"])
def test_a_missing_setting_skips_the_run_and_says_which(github, missing):
    del github.env[missing]

    result = github.run(YESTERDAY)

    assert result.success
    assert observed(result) == {f"{YESTERDAY}": f"Skipped: GitHub is not configured: set {missing}"}
    assert github.days == []
    assert github.fake.requests == []


@pytest.mark.parametrize(
    "text", ["API rate limit exceeded for user ID 7.", "You have exceeded a secondary rate limit."]
)
def test_a_rate_limit_with_403_is_tried_again(github, text):
    github.fake.break_with(base.status(403, retry_after="0", text=text))

    assert github.run(YESTERDAY).success
    assert ids(github.rows(YESTERDAY)) == IDS


def test_bytes_are_the_same_after_faults_that_pass(github):
    github.run(YESTERDAY)
    untroubled = stored_bytes(github, YESTERDAY)
    github.forget()
    plans = trouble(github, *github.fake.feeds)

    assert github.run(YESTERDAY).success

    assert are_over(plans)
    assert stored_bytes(github, YESTERDAY) == untroubled


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page[0].update(id=None), "got `null` - at `$[0].id`"),
        (lambda page: page[0].pop("created_at"), "missing required field `created_at`"),
        (lambda page: page[0].update(created_at="yesterday"), "Invalid RFC3339"),
    ],
)
def test_a_field_that_does_not_fit_is_named(github, change, says):
    github.fake.feeds["org/lake"] = github.fake.feeds["org/lake"][2:4][::-1]
    github.fake.break_with(base.rewritten(change), where="org/lake")

    assert says in failure(github.run(YESTERDAY))


@pytest.mark.parametrize(
    ("change", "column", "kept", "odd"),
    [
        (lambda event: event["payload"].update(number="12"), "number", 12, 0),
        (lambda event: event["payload"].update(number="twelve"), "number", None, 1),
        (lambda event: event["payload"].update(action=7), "action", "7", 1),
        (lambda event: event["payload"].update(pull_request=[1]), "head_sha", None, 0),
        (lambda event: event["payload"].update(pull_request={"head": "x"}), "head_sha", None, 0),
        (lambda event: event.update(payload="none"), "payload", '"none"', 0),
        (lambda event: event.update(payload=None), "number", None, 0),
        (lambda event: event.update(actor=None), "actor_login", None, 0),
        (lambda event: event["actor"].update(id="x", login=9), "actor_login", "9", 2),
        (lambda event: event["repo"].update(id="x"), "repo_id", None, 1),
        (lambda event: event.update(type=1), "event_type", "1", 1),
        (lambda event: event.update(id=1003), "event_id", "1003", 0),
        (lambda event: event["payload"].update(size=1.2345678901234567890), "number", 12, 0),
    ],
)
def test_an_odd_value_loses_no_event_and_is_counted(github, change, column, kept, odd):
    def spoil(page):
        (event,) = [event for event in page if event["id"] == "1003"]
        change(event)

    github.fake.break_with(base.rewritten(spoil), where="org/lake")

    result = github.run(YESTERDAY)

    assert ids(github.rows(YESTERDAY)) == IDS
    (row,) = [row for row in github.rows(YESTERDAY) if row["event_id"] == "1003"]
    assert row[column] == kept
    assert metadata(result)[f"{YESTERDAY}"].get("odd_values", 0) == odd


def test_hourly_polls_lose_nothing_of_a_day_that_the_feed_forgets(github):
    github.fake.page_rows, github.fake.limit = 10, 30
    schedule = load_catalog()["github_events"].schedule
    whole = [
        Event(id=f"{n:05}", at=at(TODAY, 0) + timedelta(minutes=5 * n)) for n in range(24 * 12)
    ]
    # Polls at every second hour: 24 events between two of them.
    for hour in (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25):
        github.now = at(TODAY, 0) + timedelta(hours=hour, minutes=20)
        seen = [event for event in whole if event.at <= github.now]
        github.fake.feeds = {"org/lake": seen}
        days = poll_days(schedule, github.now)
        last = days[-1] if len(days) > 1 else None
        assert github.run(days[0], last, **{"dagster/schedule_name": "polls"}).success

    assert ids(github.rows(TODAY)) == [event.id for event in whole]


def test_a_day_that_is_forgotten_keeps_the_poll_from_no_other(github):
    github.run(YESTERDAY)
    github.fake.page_rows, github.fake.limit = 10, 20
    github.fake.feeds = {"org/lake": many(40, TODAY)}

    result = github.run(YESTERDAY, TODAY, **{"dagster/schedule_name": "polls"})

    assert result.success
    assert ids(github.rows(YESTERDAY)) == IDS
    assert ids(github.rows(TODAY)) == sorted(f"{n}" for n in range(20, 40))
    assert "GitHub shows nothing of 2026-11-22 any more" in observed(result)[f"{YESTERDAY}"]


def test_a_new_field_is_no_matter(github):
    github.fake.break_with(base.rewritten(lambda page: page[0].update(node_id="x")))

    assert github.run(YESTERDAY).success
    assert ids(github.rows(YESTERDAY)) == IDS


def test_the_token_appears_nowhere(github, caplog):
    caplog.set_level("DEBUG")
    github.fake.break_with(base.status(418, text=f"I know {TOKEN}"), times=99)

    result = github.run(YESTERDAY)

    assert "I know ***" in failure(result)
    assert TOKEN not in github.texts(result)
    assert TOKEN not in caplog.text

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest

from lake_assets.catalog import ColumnType, load_catalog
from lake_assets.storage.writer import PartitionWriter
from tests.fakes import base
from tests.fakes.slack import TOKEN, FakeSlack, at, channel, message, ts
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in
from tests.sources.stored import stored_bytes

YESTERDAY = TODAY - timedelta(days=1)
BEFORE = TODAY - timedelta(days=2)


@pytest.fixture
def slack(collecting):
    return collecting("external/slack", FakeSlack())


def by_channel(slack, day=YESTERDAY):
    return {row["channel_id"]: row for row in slack.rows(day)}


def messages(slack, day=YESTERDAY):
    return {row["channel_id"]: row["messages"] for row in slack.rows(day)}


def test_a_channel_is_counted_by_what_was_said_in_it(slack):
    result = slack.run(YESTERDAY)

    assert result.success
    rows = by_channel(slack)
    noon = at(YESTERDAY)
    assert rows["C1"] == {
        "stat_date": YESTERDAY,
        "team_id": "T1",
        "channel_id": "C1",
        "channel_name": "general",
        "is_private": False,
        "is_archived": False,
        "num_members": 42,
        "messages": 3,
        "bot_messages": 2,
        "thread_parents": 1,
        "thread_replies": 3,
        "unique_posters": 2,
        "reactions": 7,
        "files": 2,
        "first_message_at": noon,
        "last_message_at": noon + timedelta(minutes=6),
        "history_complete": True,
        "collected_at": slack.now,
    }
    quiet = rows["C2"]
    assert (quiet["messages"], quiet["first_message_at"], quiet["history_complete"]) == (
        0,
        None,
        True,
    )
    assert (rows["C3"]["is_private"], rows["C3"]["messages"]) == (True, 1)
    assert rows["C5"]["is_archived"] is True
    assert sorted(rows) == ["C1", "C2", "C3", "C5"]
    assert "1 of 5 channels are not the bot's" in slack.texts(result)


def test_texts_names_of_people_and_addresses_are_not_stored(slack):
    slack.run(YESTERDAY)

    assert leaks_in(slack) == []
    stored = str(slack.rows(YESTERDAY))
    assert not [said for said in ("Call me", "U1", "U2") if said in stored]


def test_a_day_begins_and_ends_at_midnight_utc_to_the_microsecond(slack):
    slack.fake.history["C1"] = [
        message(at(YESTERDAY, 0) - timedelta(microseconds=1)),
        message(at(YESTERDAY, 0)),
        message(at(TODAY, 0) - timedelta(microseconds=1)),
        message(at(TODAY, 0)),
    ]

    slack.run(YESTERDAY)
    assert messages(slack)["C1"] == 2
    (asked, *_) = [r for r in slack.fake.asked("history") if r.query["channel"] == "C1"]
    assert asked.query["oldest"] == ts(at(YESTERDAY, 0) - timedelta(microseconds=1))
    assert asked.query["latest"] == ts(at(TODAY, 0))

    slack.run(BEFORE, YESTERDAY, **{"lake/refetch": "true"})
    assert [messages(slack, day)["C1"] for day in (BEFORE, YESTERDAY)] == [1, 2]


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 3, 30), date(2025, 12, 31)])
def test_leap_day_change_of_clocks_and_end_of_year_are_days_like_any(collecting, day):
    slack = collecting("external/slack", FakeSlack(day + timedelta(days=1)))
    slack.fake.history["C2"] = [message(at(day, hour)) for hour in range(24)]

    slack.run(day)

    assert messages(slack, day) == {"C1": 3, "C2": 24, "C3": 1, "C5": 0}


def test_pages_are_followed_by_their_cursors(slack):
    slack.env["SLACK_PAGE_ROWS"] = "2"
    slack.fake.history["C1"] = [message(at(YESTERDAY, 1, n), f"U{n % 3}") for n in range(7)]

    slack.run(YESTERDAY)

    assert messages(slack) == {"C1": 7, "C2": 0, "C3": 1, "C5": 0}
    assert by_channel(slack)["C1"]["unique_posters"] == 3
    assert [r.query.get("cursor") for r in slack.fake.asked("list")] == [None, "2", "4"]
    asked = [r for r in slack.fake.asked("history") if r.query["channel"] == "C1"]
    assert [r.query.get("cursor") for r in asked] == [None, "2", "4", "6"]
    assert {r.query["limit"] for r in slack.fake.asked("conversations")} == {"2"}


def test_a_message_or_channel_on_two_pages_counts_once(slack):
    slack.env["SLACK_PAGE_ROWS"] = "2"
    slack.fake.history["C1"] = [message(at(YESTERDAY, 1, n)) for n in range(3)]
    again = message(at(YESTERDAY, 1, 1))
    slack.fake.break_with(
        base.rewritten(lambda page: page["messages"].append(again)), where="channel=C1"
    )
    slack.fake.break_with(
        base.rewritten(lambda page: page["channels"].append(channel("C1", "general"))),
        where="conversations.list",
        skip=1,
    )

    slack.run(YESTERDAY)

    assert messages(slack) == {"C1": 3, "C2": 0, "C3": 1, "C5": 0}


def test_a_cursor_that_comes_twice_ends_the_run(slack):
    def round_and_round(page):
        page["response_metadata"]["next_cursor"] = "2"

    slack.fake.break_with(base.rewritten(round_and_round), where="conversations.list", times=99)

    assert "conversations.list goes in circles" in failure(slack.run(YESTERDAY))


def test_a_backfill_asks_for_each_channel_once(slack):
    first = TODAY - timedelta(days=40)
    slack.fake.history["C1"] = [message(at(first + timedelta(days=n), 5)) for n in range(40)]

    assert slack.run(first, YESTERDAY).success

    assert [messages(slack, day)["C1"] for day in slack.days] == [1] * 40
    assert len(slack.fake.asked("history")) == 4
    assert len(slack.fake.requests) == 6


def test_what_a_free_plan_hides_is_marked(slack):
    slack.fake.hidden_before = at(BEFORE, 0)
    old = TODAY - timedelta(days=100)

    slack.run(old)
    slack.run(YESTERDAY)

    assert {row["history_complete"] for row in slack.rows(old)} == {False}
    assert {row["history_complete"] for row in slack.rows(YESTERDAY)} == {True}


def test_a_channel_that_was_counted_as_a_whole_stays_so(slack):
    slack.run(YESTERDAY)
    before = by_channel(slack)
    slack.fake.refusals["C1"] = "not_in_channel"
    slack.fake.channels = [each for each in slack.fake.channels if each["id"] != "C2"]

    again = slack.run(YESTERDAY)

    assert by_channel(slack) == before
    assert before["C1"]["history_complete"]
    assert metadata(again)[f"{YESTERDAY}"]["kept_rows"] == 2

    slack.run(YESTERDAY, **{"lake/replace": "true"})
    assert set(by_channel(slack)) == set(before) - {"C2"}
    assert not by_channel(slack)["C1"]["history_complete"]


def test_a_day_of_other_types_is_written_anew_by_the_tags_that_the_failure_names(slack):
    now = load_catalog()[slack.partition]
    columns = (
        replace(each, type=ColumnType.STRING) if each.name == "messages" else each
        for each in now.columns
    )
    before = replace(now, columns=tuple(columns))
    PartitionWriter(slack.store, run_id="r", code_version="c").write(before, YESTERDAY, [])
    slack.store.bump_version(before, [YESTERDAY])

    said = failure(slack.run(YESTERDAY))

    assert "can't be joined" in said
    assert "rows that the source no longer shows are lost" in said
    tags = dict(re.findall(r"(lake/\w+)=(true)", said))
    assert slack.run(YESTERDAY, **tags).success
    assert messages(slack) == {"C1": 3, "C2": 0, "C3": 1, "C5": 0}


@pytest.mark.parametrize("error", ["not_in_channel", "channel_not_found"])
def test_a_channel_that_refuses_is_marked_and_the_others_are_counted(slack, error):
    slack.fake.refusals["C1"] = error

    assert slack.run(YESTERDAY).success

    rows = by_channel(slack)
    assert (rows["C1"]["messages"], rows["C1"]["history_complete"]) == (0, False)
    assert (rows["C3"]["messages"], rows["C3"]["history_complete"]) == (1, True)


def test_a_bot_in_no_channel_fails(slack):
    for each in slack.fake.channels:
        each["is_member"] = False

    assert "the bot is in none of 5 channels: invite it to some" in failure(slack.run(YESTERDAY))


def test_an_error_with_status_200_is_no_empty_answer(slack):
    slack.fake.break_with(
        lambda _reply: base.as_json(
            {"ok": False, "error": "missing_scope", "needed": "channels:history"}
        ),
        where="history",
    )

    assert (
        "Slack says `missing_scope` to conversations.history (it wants channels:history): "
        "check the token"
    ) in failure(slack.run(YESTERDAY))
    assert slack.days == []


@pytest.mark.parametrize("error", ["internal_error", "ratelimited"])
def test_a_busy_slack_with_status_200_is_asked_again(slack, error):
    busy = slack.fake.break_with(
        lambda _reply: base.as_json({"ok": False, "error": error}), where="channel=C1", times=2
    )
    slack.run(YESTERDAY)
    assert busy.times == 0
    assert messages(slack)["C1"] == 3

    slack.fake.break_with(lambda _reply: base.as_json({"ok": False, "error": error}), times=99)
    assert f"Slack says `{error}` (tried 3 times)" in failure(slack.run(YESTERDAY))


def test_a_missing_token_skips_the_run_and_says_which(slack):
    del slack.env["SLACK_BOT_TOKEN"]

    result = slack.run(YESTERDAY)

    assert result.success
    assert observed(result) == {
        f"{YESTERDAY}": "Skipped: Slack is not configured: set SLACK_BOT_TOKEN"
    }
    assert slack.days == []
    assert slack.fake.requests == []


def test_bytes_are_the_same_after_faults_that_pass(slack):
    slack.run(YESTERDAY)
    untroubled = stored_bytes(slack, YESTERDAY)
    slack.forget()
    plans = trouble(slack, "conversations.list", "channel=C1")

    assert slack.run(YESTERDAY).success

    assert are_over(plans)
    assert stored_bytes(slack, YESTERDAY) == untroubled


@pytest.mark.parametrize(
    ("where", "change", "says"),
    [
        ("C1", lambda page: page["messages"][0].update(ts=1.5), "Expected `str`, got `float`"),
        ("C1", lambda page: page["messages"][0].update(ts="soon"), "`ts` is no time: 'soon'"),
        ("C1", lambda page: page["messages"][0].pop("ts"), "missing required field `ts`"),
        ("C1", lambda page: page.pop("messages"), "the answer lacks `messages`"),
        ("list", lambda page: page.pop("channels"), "the answer lacks `channels`"),
        ("list", lambda page: page["channels"][0].pop("id"), "missing required field `id`"),
        ("list", lambda page: page.pop("ok"), "missing required field `ok`"),
        ("auth.test", lambda page: page.pop("team_id"), "column `team_id` is required"),
    ],
)
def test_a_field_that_does_not_fit_is_named(slack, where, change, says):
    slack.fake.break_with(base.rewritten(change), where=where)

    assert says in failure(slack.run(YESTERDAY))
    assert slack.days == []


def test_a_new_field_is_no_matter(slack):
    slack.fake.break_with(base.rewritten(lambda page: page.update(x=1)), times=99)

    assert slack.run(YESTERDAY).success
    assert messages(slack)["C1"] == 3


def test_the_token_appears_nowhere(slack, caplog):
    caplog.set_level("DEBUG")
    slack.fake.break_with(base.status(418, text=f"I know {TOKEN}"), times=99)

    result = slack.run(YESTERDAY)

    assert "I know ***" in failure(result)
    assert TOKEN not in slack.texts(result)
    assert TOKEN not in caplog.text


def test_the_day_says_how_many_channels_it_has(slack):
    assert metadata(slack.run(YESTERDAY))[f"{YESTERDAY}"]["rows"] == 4

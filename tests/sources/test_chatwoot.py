import json
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.chatwoot import TOKEN, FakeChatwoot, at, conversation
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in

YESTERDAY = TODAY - timedelta(days=1)
PEOPLE = ("Ann Visitor", "visitor@", "refund for", "my card", "cc@", "555-0142", "San Jose")


@pytest.fixture
def chatwoot(collecting):
    return collecting("chatwoot/conversations", FakeChatwoot())


def said(rows):
    return [(row["conversation_id"], row["last_activity_at"]) for row in rows]


def expected(day=YESTERDAY, today=TODAY):
    number = 1_000 - 10 * (today - day).days
    clocks = ("23:59:59", "11:30:00", "00:00:00")
    return [
        (number + 2 - place, datetime.fromtimestamp(at(day, clock), UTC))
        for place, clock in enumerate(clocks)
    ]


def test_the_conversations_of_a_day_become_rows(chatwoot):
    assert chatwoot.run(YESTERDAY).success

    rows = chatwoot.rows(YESTERDAY)
    assert said(rows) == expected()
    moment = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    freely = {"additional_attributes": None, "custom_attributes": None}
    assert rows[0] | freely == freely | {
        "conversation_id": 992,
        "account_id": 7,
        "uuid": "7b2e4c1a-0000-4000-8000-0000000003e0",
        "inbox_id": 3,
        "channel": "Channel::WebWidget",
        "status": "open",
        "priority": None,
        "labels": '["billing"]',
        "assignee_id": 2,
        "assignee_name": "Bo Agent",
        "team_id": 1,
        "team_name": "support",
        "contact_id": 70,
        "can_reply": True,
        "muted": False,
        "unread_count": 1,
        "first_reply_at": moment - timedelta(minutes=30),
        "waiting_since": moment - timedelta(seconds=59),
        "snoozed_until": None,
        "agent_last_seen_at": moment - timedelta(minutes=1),
        "contact_last_seen_at": None,
        "last_message_type": 0,
        "created_at": moment - timedelta(hours=1),
        "last_activity_at": moment,
        "collected_at": chatwoot.now,
    }
    assert rows[1]["snoozed_until"] == datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert [row["status"] for row in rows] == ["open", "snoozed", "resolved"]
    assert [row["waiting_since"] for row in rows[1:]] == [None, None]


def test_nothing_of_messages_and_contacts_is_written(chatwoot):
    chatwoot.run(YESTERDAY)

    row = chatwoot.rows(YESTERDAY)[0]
    assert leaks_in(chatwoot, words=PEOPLE) == []
    assert json.loads(row["additional_attributes"]) == {
        "browser": {"browser_name": "Firefox", "platform_name": "macOS"},
        "browser_language": "en",
        "initiated_at": {"timestamp": "Sat Nov 21 2026 10:00:00 GMT+0100"},
        "referer": "https://lake.example/pricing",
    }
    assert json.loads(row["custom_attributes"]) == {"plan": "pro", "call": "[number] or [address]"}


def test_a_bare_conversation_is_a_row_too(chatwoot):
    bare = conversation(
        5,
        at(YESTERDAY, "10:00:00"),
        meta={"sender": None, "channel": None},
        messages=[],
        additional_attributes=None,
        custom_attributes=None,
        labels=[],
        first_reply_created_at=0,
        snoozed_until=at(TODAY, "09:00:00"),
    )
    chatwoot.fake.conversations = [bare]

    chatwoot.run(YESTERDAY)

    (row,) = chatwoot.rows(YESTERDAY)
    names = ("contact_id", "assignee_id", "team_name", "first_reply_at", "last_message_type")
    assert {row[name] for name in names} == {None}
    assert row["labels"] == "[]"
    assert row["snoozed_until"] == datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 12, 31)])
def test_leap_days_and_ends_of_years_are_days_like_any(collecting, day):
    today = day + timedelta(days=1)
    lake = collecting("chatwoot/conversations", FakeChatwoot(today))
    lake.now = datetime.combine(today, datetime.min.time(), tzinfo=UTC)

    lake.run(day)

    assert said(lake.rows(day)) == expected(day, today)


def test_pages_are_read_down_to_the_day_and_once_per_run(chatwoot):
    chatwoot.fake.page_rows = 4
    first = TODAY - timedelta(days=3)

    assert chatwoot.run(first, YESTERDAY).success

    assert chatwoot.days == [first + timedelta(days=step) for step in range(3)]
    for day in chatwoot.days:
        assert said(chatwoot.rows(day)) == expected(day)
    # 12 rows reach the first second of the first day; one more tells that it is over.
    assert [request.query["page"] for request in chatwoot.fake.requests] == ["1", "2", "3", "4"]
    assert {request.query["status"] for request in chatwoot.fake.requests} == {"all"}


def test_a_day_with_many_conversations_is_whole(chatwoot):
    start = at(YESTERDAY, "00:00:00")
    chatwoot.fake.conversations = [conversation(n, start + n // 2) for n in range(1, 1_234)]

    chatwoot.run(YESTERDAY)

    numbers = [row["conversation_id"] for row in chatwoot.rows(YESTERDAY)]
    assert numbers == list(range(1_233, 0, -1))
    assert len(chatwoot.fake.requests) == 51


def test_a_conversation_that_wakes_up_while_pages_are_read_doubles_and_loses_nothing(chatwoot):
    chatwoot.fake.page_rows = 2

    def wake(reply):
        oldest = chatwoot.fake.conversations[-1]
        oldest["last_activity_at"] = at(TODAY, "23:59:59") + 5
        return reply

    chatwoot.fake.break_with(wake)

    result = chatwoot.run(YESTERDAY)

    assert said(chatwoot.rows(YESTERDAY)) == expected()
    assert metadata(result)[f"{YESTERDAY}"].get("repeated_rows") is None
    chatwoot.fake.break_with(wake, skip=1)
    chatwoot.fake.conversations[-1]["last_activity_at"] = 0
    again = chatwoot.run(YESTERDAY)
    assert said(chatwoot.rows(YESTERDAY)) == expected()
    assert metadata(again)[f"{YESTERDAY}"]["repeated_rows"] == 1


def test_a_conversation_that_goes_on_stays_in_the_day_on_which_it_was_seen(chatwoot):
    chatwoot.run(YESTERDAY)
    before = {row["conversation_id"]: row for row in chatwoot.rows(YESTERDAY)}
    goes_on = next(iter(before))
    (there,) = (each for each in chatwoot.fake.conversations if each["id"] == goes_on)
    there["last_activity_at"] = at(TODAY, "08:00:00")

    again = chatwoot.run(YESTERDAY)

    assert {row["conversation_id"]: row for row in chatwoot.rows(YESTERDAY)} == before
    assert metadata(again)[f"{YESTERDAY}"]["kept_rows"] == 1


def test_conversations_that_come_in_while_all_pages_are_read_are_no_fault(chatwoot):
    chatwoot.fake.page_rows = 2
    chatwoot.fake.conversations = chatwoot.fake.conversations[:6]

    def come(reply):
        chatwoot.fake.conversations.append(conversation(2_000, at(TODAY, "23:59:59") + 5))
        chatwoot.fake.conversations[5]["last_activity_at"] = at(TODAY, "23:59:59") + 6
        return reply

    plan = chatwoot.fake.break_with(come, skip=2)

    assert chatwoot.run(TODAY - timedelta(days=9), YESTERDAY).success

    assert plan.times == 0
    assert said(chatwoot.rows(YESTERDAY)) == expected()


def test_a_conversation_that_is_deleted_while_pages_are_read_fails_the_run(chatwoot):
    chatwoot.fake.page_rows = 2

    def delete(reply):
        chatwoot.fake.conversations.pop(0)
        return reply

    chatwoot.fake.break_with(delete)

    said_first = failure(chatwoot.run(YESTERDAY))
    assert "conversations were deleted while the pages were read; run it again" in said_first
    assert chatwoot.days == []
    assert chatwoot.run(YESTERDAY).success
    assert said(chatwoot.rows(YESTERDAY)) == expected()


def test_pages_in_another_order_are_told(chatwoot):
    chatwoot.fake.break_with(base.rewritten(lambda page: page["data"]["payload"].reverse()))

    assert "not ordered by their last activity" in failure(chatwoot.run(YESTERDAY))


def test_pages_that_end_too_early_are_told(chatwoot):
    chatwoot.fake.page_rows = 2
    chatwoot.fake.break_with(
        base.rewritten(lambda page: page["data"]["payload"].clear()), where="page=2"
    )

    assert "page 2 of 123 conversations came empty" in failure(chatwoot.run(YESTERDAY))
    assert chatwoot.days == []


def test_a_quiet_account_is_a_success_without_rows(chatwoot):
    chatwoot.fake.conversations = []

    result = chatwoot.run(YESTERDAY)

    assert chatwoot.rows(YESTERDAY) == []
    assert metadata(result)[f"{YESTERDAY}"]["reason"] == "the source has no rows for the day"


def test_rows_are_exact_after_faults_that_pass(chatwoot):
    chatwoot.fake.page_rows = 4
    chatwoot.run(YESTERDAY)
    without = chatwoot.rows(YESTERDAY)
    chatwoot.forget()
    plans = trouble(chatwoot, "page=1", "page=2")

    assert chatwoot.run(YESTERDAY).success

    assert are_over(plans)
    assert chatwoot.rows(YESTERDAY) == without
    assert said(without) == expected()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data["meta"].pop("all_count"), "missing required field `all_count`"),
        (lambda data: data["payload"][1].pop("last_activity_at"), "`last_activity_at`"),
        (lambda data: data["payload"][1].update(id="12"), "`$.data.payload[1].id`"),
    ],
)
def test_a_field_that_does_not_fit_is_named(chatwoot, change, says):
    chatwoot.fake.break_with(base.rewritten(lambda page: change(page["data"])))

    assert says in failure(chatwoot.run(YESTERDAY))
    assert chatwoot.days == []


def test_a_new_field_is_no_matter(chatwoot):
    chatwoot.fake.break_with(
        base.rewritten(lambda page: page["data"]["payload"][3].update(copilot={"on": True}))
    )

    assert chatwoot.run(YESTERDAY).success
    assert said(chatwoot.rows(YESTERDAY)) == expected()


@pytest.mark.parametrize(
    "missing", ["CHATWOOT_API_TOKEN", "CHATWOOT_ACCOUNT_ID", "CHATWOOT_BASE_URL"]
)
def test_a_missing_setting_skips_the_run_and_says_which(chatwoot, missing):
    del chatwoot.env[missing]

    assert observed(chatwoot.run(YESTERDAY)) == {
        f"{YESTERDAY}": f"Skipped: Chatwoot is not configured: set {missing}"
    }
    assert chatwoot.fake.requests == []


def test_the_token_appears_nowhere(chatwoot, caplog):
    caplog.set_level("DEBUG")
    chatwoot.fake.break_with(base.status(401, text=f"bad {TOKEN}"), times=99)

    result = chatwoot.run(YESTERDAY)

    assert "bad ***" in failure(result)
    assert TOKEN not in chatwoot.texts(result)
    assert TOKEN not in caplog.text

import hashlib
import json
from datetime import date, timedelta

import pytest

from lake_assets.sources import email_postmark
from tests.fakes import base
from tests.fakes.email_events import (
    POSTMARK_TOKEN,
    RESEND_KEY,
    Email,
    FakePostmark,
    FakeResend,
    Message,
    at,
)
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in
from tests.sources.stored import stored_bytes

YESTERDAY = TODAY - timedelta(days=1)
BEFORE = TODAY - timedelta(days=2)
SCHEDULE = {"dagster/schedule_name": "collect_email_delivery_events"}
ANN, BO, CY = (
    hashlib.sha256(address).hexdigest()
    for address in (b"ann@example.com", b"bo@example.org", b"cy@example.net")
)


@pytest.fixture
def resend(collecting):
    return collecting("external/email", FakeResend())


@pytest.fixture
def postmark(collecting):
    return collecting("external/email", FakePostmark())


@pytest.fixture(params=[FakeResend, FakePostmark])
def either(request, collecting):
    return collecting("external/email", request.param())


def said(rows):
    names = ("message_id", "event_type", "recipient_hash", "occurred_at")
    ordered = sorted(rows, key=lambda row: (row["occurred_at"], row["event_id"]))
    return [tuple(row[name] for name in names) for row in ordered]


def of_resend(day):
    noon = at(day)
    pair = sorted([BO, CY])
    return [
        ("e2", "opened", ANN, noon),
        *(("e3", "bounced", each, noon + timedelta(hours=1)) for each in pair),
    ]


def of_postmark(day):
    noon = at(day)
    return sorted(
        [
            ("m1", "opened", ANN, noon),
            ("m2", "processed", BO, noon),
            ("m2", "deferred", BO, noon + timedelta(seconds=5)),
            ("m2", "bounced", BO, noon + timedelta(seconds=9)),
            ("m1", "clicked", ANN, noon + timedelta(minutes=1)),
            ("m2", "unsubscribed", BO, noon + timedelta(hours=1)),
        ]
    )


def expected(lake, day=YESTERDAY):
    return sorted(of_postmark(day) if lake.fake.name == "postmark" else of_resend(day))


def test_resend_tells_the_last_event_per_message_and_recipient(resend):
    assert resend.run(YESTERDAY).success

    assert said(resend.rows(YESTERDAY)) == of_resend(YESTERDAY)
    (opened,) = [row for row in resend.rows(YESTERDAY) if row["message_id"] == "e2"]
    assert opened == {
        "event_id": f"e2:{ANN[:16]}",
        "provider": "resend",
        "message_id": "e2",
        "event_type": "opened",
        "recipient_hash": ANN,
        "recipient_domain": "example.com",
        "from_email": "hello@lake.example",
        "subject": "For [address]",
        "template": None,
        "tags": "[]",
        "occurred_at": at(YESTERDAY),
        "bounce_type": None,
        "status_code": None,
        "reason": None,
        "url": None,
        "ip": None,
        "user_agent": None,
        "attempt": None,
        "metadata": '{"last_event":"opened","recipients":1}',
        "collected_at": resend.now,
    }


def test_postmark_tells_every_event_of_messages_of_the_last_days(postmark):
    assert postmark.run(YESTERDAY).success

    assert sorted(said(postmark.rows(YESTERDAY))) == of_postmark(YESTERDAY)
    rows = {row["event_type"]: row for row in postmark.rows(YESTERDAY)}
    bounced = rows["bounced"]
    assert bounced["reason"] == "smtp;550 5.1.1 <[address]> does not exist"
    assert (bounced["status_code"], rows["deferred"]["status_code"]) == ("5.1.1", "4.7.0")
    assert (rows["opened"]["reason"], rows["opened"]["url"]) == (None, None)
    assert rows["clicked"]["url"] == "https://lake.example/reset"
    assert json.loads(rows["clicked"]["tags"]) == ["welcome"]
    assert {row["provider"] for row in rows.values()} == {"postmark"}
    assert {row["from_email"] for row in rows.values()} == {"hello@lake.example"}
    assert len({row["event_id"] for row in rows.values()}) == 6


def test_recipients_and_texts_are_not_stored(either):
    either.run(YESTERDAY)

    assert either.rows(YESTERDAY)
    assert leaks_in(either, allowed={"from_email"}) == []
    stored = str(either.rows(YESTERDAY))
    assert not [text for text in ("Dear Ann", "1234", "s3cr3t", "Ann@") if text in stored]


@pytest.mark.parametrize(
    ("said_by_resend", "kept"),
    [
        ("queued", "processed"),
        ("scheduled", "processed"),
        ("sent", "processed"),
        ("delivery_delayed", "deferred"),
        ("delivered", "delivered"),
        ("clicked", "clicked"),
        ("complained", "complained"),
        ("failed", "dropped"),
        ("canceled", "dropped"),
        ("suppressed", "dropped"),
    ],
)
def test_what_resend_says_has_a_name_in_the_lake(resend, said_by_resend, kept):
    resend.fake.emails = [Email(id="e", at=at(YESTERDAY), last_event=said_by_resend)]

    resend.run(YESTERDAY)

    assert [row["event_type"] for row in resend.rows(YESTERDAY)] == [kept]


def test_an_event_without_a_name_is_stored_as_it_came_and_counted(either):
    noon = at(YESTERDAY)
    if isinstance(either.fake, FakeResend):
        either.fake.emails.append(Email(id="e", at=noon, last_event="eaten"))
    else:
        either.fake.messages.append(Message(id="m", at=noon, events=[("eaten", noon, {})]))

    result = either.run(YESTERDAY)

    assert result.success
    assert [row["event_type"] for row in either.rows(YESTERDAY)].count("eaten") == 1
    assert len(either.rows(YESTERDAY)) > len(expected(either))
    assert metadata(result)[f"{YESTERDAY}"]["odd_values"] == 1
    assert "`event_type`: 1 value that the column does not list" in either.texts(result)


@pytest.mark.parametrize(
    ("where", "change", "column", "kept"),
    [
        ("e", lambda page: page["data"][1].update(last_event=7), "event_type", "7"),
        ("e", lambda page: page["data"][1].update(last_event=None), "event_type", "null"),
        ("e", lambda page: page["data"][1].update(subject=7), "subject", "7"),
        ("m2/", lambda page: page["MessageEvents"][1].update(Type=[1]), "event_type", "[1]"),
        ("m2/", lambda page: page.update(Tag=1, Subject=2), "subject", "2"),
        ("m2/", lambda page: page.update(Tag={"a": 1}), "tags", '["{\\"a\\":1}"]'),
        (
            "m2/",
            lambda page: page["MessageEvents"][1]["Details"].update(BounceID=7, Summary=550),
            "reason",
            "550",
        ),
        ("m2/", lambda page: page["MessageEvents"][1].update(Details=None), "reason", None),
        ("m2/", lambda page: page["MessageEvents"][1].update(Details=[]), "reason", None),
    ],
)
def test_one_value_of_another_type_is_kept_as_text(collecting, where, change, column, kept):
    lake = collecting("external/email", FakeResend() if where == "e" else FakePostmark())
    lake.fake.break_with(base.rewritten(change), where=where)

    assert lake.run(YESTERDAY).success

    assert kept in [row[column] for row in lake.rows(YESTERDAY)]
    # The rows are all there.
    assert len(lake.rows(YESTERDAY)) == len(expected(lake))


def test_a_day_begins_and_ends_at_midnight_utc(either):
    second = timedelta(seconds=1)
    moments = {
        "a": at(YESTERDAY, 0) - second,
        "b": at(YESTERDAY, 0),
        "c": at(TODAY, 0) - second,
        "d": at(TODAY, 0),
    }
    either.fake.emails = [Email(id=name, at=moment) for name, moment in moments.items()]
    either.fake.messages = [Message(id=name, at=moment) for name, moment in moments.items()]

    either.run(BEFORE, TODAY - timedelta(days=1), **SCHEDULE)

    assert [
        sorted(row["message_id"] for row in either.rows(day)) for day in (BEFORE, YESTERDAY)
    ] == [["a"], ["b", "c"]]


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 3, 9), date(2025, 12, 31)])
@pytest.mark.parametrize("fake", [FakeResend, FakePostmark])
def test_leap_day_change_of_clocks_and_end_of_year_are_days_like_any(collecting, fake, day):
    lake = collecting("external/email", fake(day + timedelta(days=1)))
    lake.now = at(day + timedelta(days=1), 2)

    lake.run(day)

    assert sorted(said(lake.rows(day))) == expected(lake, day)


def test_pages_are_followed_and_older_ones_not_asked_for(resend):
    resend.fake.most = 2
    resend.fake.emails = [
        *(Email(id=f"y{n}", at=at(YESTERDAY, n)) for n in range(5)),
        *(Email(id=f"b{n}", at=at(BEFORE, n)) for n in range(9)),
    ]

    resend.run(YESTERDAY)

    assert sorted(row["message_id"] for row in resend.rows(YESTERDAY)) == [
        f"y{n}" for n in range(5)
    ]
    assert [r.query.get("after") for r in resend.fake.requests] == [None, "y3", "y1"]


def test_postmark_s_pages_are_followed_up_to_their_total(postmark):
    postmark.fake.most = 2
    postmark.fake.messages = [Message(id=f"m{n}", at=at(YESTERDAY, 12, n)) for n in range(5)]

    postmark.run(YESTERDAY)

    assert sorted(row["message_id"] for row in postmark.rows(YESTERDAY)) == [
        f"m{n}" for n in range(5)
    ]
    paged = [r.query["offset"] for r in postmark.fake.asked("outbound") if r.query]
    assert paged.count("2") == paged.count("4") == 1


def test_pages_that_end_before_their_total_fail(postmark):
    postmark.fake.total = 9

    assert "of 9 messages of" in failure(postmark.run(YESTERDAY))


def test_a_day_with_more_messages_than_a_search_shows_is_split_until_it_fits(postmark, monkeypatch):
    monkeypatch.setattr(email_postmark, "_SEARCH_ROWS", 3)
    postmark.fake.most = 2
    postmark.fake.shows = 3
    crowd = [Message(id=f"s{n}", at=at(YESTERDAY, 12, 30, n)) for n in range(5)]
    hours = [Message(id=f"h{n:02}", at=at(YESTERDAY, n)) for n in range(24)]
    postmark.fake.messages = crowd + hours

    assert postmark.run(YESTERDAY).success

    ids = sorted(row["message_id"] for row in postmark.rows(YESTERDAY))
    assert ids == sorted(message.id for message in postmark.fake.messages)


def test_more_messages_within_a_second_than_postmark_shows_fail(postmark):
    postmark.fake.total = 10_001

    assert "10,001 messages within a second; Postmark shows 10,000" in failure(
        postmark.run(YESTERDAY)
    )


def test_more_messages_that_do_not_come_fail(resend):
    resend.fake.break_with(base.rewritten(lambda page: page.update(data=[], has_more=True)))

    assert "Resend has more messages and gives none" in failure(resend.run(YESTERDAY))


def test_a_message_on_two_pages_is_kept_once(resend):
    resend.fake.most = 3
    resend.fake.break_with(
        base.rewritten(lambda page: page["data"].insert(0, page["data"][-1])), where="emails"
    )

    result = resend.run(YESTERDAY)

    assert said(resend.rows(YESTERDAY)) == of_resend(YESTERDAY)
    assert metadata(result)[f"{YESTERDAY}"]["repeated_rows"] == 1


def test_a_schedule_writes_late_events_of_its_window(either):
    first = TODAY - timedelta(days=3)
    either.run(first, YESTERDAY, **SCHEDULE)
    assert len(either.days) == 3
    asked = len(either.fake.requests)
    assert asked == len({(r.path, str(r.query)) for r in either.fake.requests})
    before = [row["event_id"] for row in either.rows(YESTERDAY)]
    late = at(YESTERDAY, 20)
    either.fake.emails = [Email(id="late", at=late)]
    either.fake.messages = [Message(id="late", at=late)]

    again = either.run(first, YESTERDAY, **SCHEDULE)

    # What the provider no longer keeps stays.
    came, *kept = either.rows(YESTERDAY)
    assert came["message_id"] == "late"
    assert [row["event_id"] for row in kept] == before
    assert metadata(again)[f"{YESTERDAY}"]["kept_rows"] == len(before) > 1


def test_where_resend_s_list_ends_is_told(resend):
    result = resend.run(TODAY - timedelta(days=5))

    assert f"Resend has no message from before {TODAY - timedelta(days=3)} 12:00 UTC" in (
        resend.texts(result)
    )


def test_days_out_of_reach_are_said_before_anything_is_asked(either):
    result = either.run(TODAY - timedelta(days=46))

    assert "providers keep messages for a limited time" in failure(result)
    assert either.fake.requests == []


def test_a_day_without_mail_is_a_success_without_rows(either):
    either.fake.emails = either.fake.messages = []

    result = either.run(YESTERDAY)

    assert either.rows(YESTERDAY) == []
    assert metadata(result)[f"{YESTERDAY}"]["reason"] == "the source has no rows for the day"


@pytest.mark.parametrize("missing", ["EMAIL_PROVIDER", "EMAIL_API_KEY"])
def test_a_missing_setting_skips_the_run_and_says_which(resend, missing):
    del resend.env[missing]

    result = resend.run(YESTERDAY)

    assert result.success
    assert observed(result) == {
        f"{YESTERDAY}": f"Skipped: E-mail provider is not configured: set {missing}"
    }
    assert resend.days == []
    assert resend.fake.requests == []


def test_an_unknown_provider_fails(resend):
    resend.env["EMAIL_PROVIDER"] = "sendgrid"

    assert "EMAIL_PROVIDER must be resend or postmark, not `sendgrid`" in failure(
        resend.run(YESTERDAY)
    )


def test_bytes_are_the_same_after_faults_that_pass(either):
    either.run(YESTERDAY)
    untroubled = stored_bytes(either, YESTERDAY)
    either.forget()
    plans = trouble(
        either, *{"resend": ["emails"], "postmark": ["fromdate", "m2/details"]}[either.fake.name]
    )

    assert either.run(YESTERDAY).success

    assert are_over(plans)
    assert stored_bytes(either, YESTERDAY) == untroubled


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page["data"][0].update(to=7), "Expected `str | array`, got `int`"),
        (lambda page: page["data"][0].pop("id"), "missing required field `id`"),
        (lambda page: page["data"][0].update(created_at="soon"), "`created_at` is no time: 'soon'"),
        (lambda page: page.pop("has_more"), "missing required field `has_more`"),
    ],
)
def test_a_field_of_resend_s_that_does_not_fit_is_named(resend, change, says):
    resend.fake.break_with(base.rewritten(change), where="emails")

    assert says in failure(resend.run(YESTERDAY))
    assert resend.days == []


@pytest.mark.parametrize(
    ("where", "change", "says"),
    [
        ("m2/", lambda page: page.pop("MessageEvents"), "missing required field `MessageEvents`"),
        (
            "m2/",
            lambda page: page["MessageEvents"][0].update(ReceivedAt="soon"),
            "Invalid RFC3339",
        ),
        ("fromdate", lambda page: page.update(TotalCount="2"), "Expected `int`, got `str`"),
    ],
)
def test_a_field_of_postmark_s_that_does_not_fit_is_named(postmark, where, change, says):
    postmark.fake.break_with(base.rewritten(change), where=where)

    assert says in failure(postmark.run(YESTERDAY))
    assert postmark.days == []


def test_a_new_field_is_no_matter(either):
    either.fake.break_with(base.rewritten(lambda page: page.update(x=1)), times=99)

    assert either.run(YESTERDAY).success
    assert sorted(said(either.rows(YESTERDAY))) == expected(either)


def test_the_key_appears_nowhere(either, caplog):
    caplog.set_level("DEBUG")
    key = {"resend": RESEND_KEY, "postmark": POSTMARK_TOKEN}[either.fake.name]
    either.fake.break_with(base.status(418, text=f"I know {key}"), times=99)

    result = either.run(YESTERDAY)

    assert "I know ***" in failure(result)
    assert key not in either.texts(result)
    assert key not in caplog.text

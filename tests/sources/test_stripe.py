import json
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import base
from tests.fakes.stripe import KEY, VERSION, FakeStripe, at, charge, day_of, event
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in

YESTERDAY = TODAY - timedelta(days=1)
TYPES = [
    "payment_intent.created",
    "payment_method.attached",
    "invoice.paid",
    "customer.updated",
    "charge.succeeded",
]
PEOPLE = ("Ann", "visitor", "Main Street", "95113", "408", "4242", "424242", "Xt5EWLLDS7FJjR1c")
CALLERS_OWN = "ann.visitor@example.com 4242 4242 4242 4242"
SECRETS = ("_secret_", "://", "receipts")


@pytest.fixture
def stripe(collecting):
    return collecting("stripe_events", FakeStripe())


def said(rows):
    return [(row["event_type"], row["created_at"]) for row in rows]


def expected(day=YESTERDAY):
    clocks = ("23:59:59", "17:00:00", "12:00:00", "09:30:00", "00:00:00")
    moments = [datetime.fromtimestamp(at(day, clock), UTC) for clock in clocks]
    return list(zip(TYPES, moments, strict=True))


def one(stripe, day=YESTERDAY, **column):
    ((name, value),) = column.items()
    (row,) = (row for row in stripe.rows(day) if row[name] == value)
    return row


def test_the_events_of_a_day_become_rows(stripe):
    assert stripe.run(YESTERDAY).success

    assert said(stripe.rows(YESTERDAY)) == expected()
    created = at(YESTERDAY, "00:00:00")
    row = one(stripe, event_type="charge.succeeded")
    assert row | {"data_object": None} == {
        "event_id": f"evt_1{created}chargesucceeded",
        "event_type": "charge.succeeded",
        "api_version": VERSION,
        "livemode": True,
        "account": None,
        "object_id": "ch_3PxYzLake",
        "object_type": "charge",
        "customer_id": "cus_Q1Lake",
        "amount_minor": 2_500,
        "currency": "usd",
        "object_status": "succeeded",
        "request_id": f"req_{created}",
        "idempotency_key": f"key-{created}",
        "pending_webhooks": 0,
        "data_object": None,
        "previous_attributes": None,
        "created_at": datetime.fromtimestamp(created, UTC),
        "collected_at": stripe.now,
    }


def test_of_an_object_numbers_ids_and_codes_are_stored_and_nothing_of_people(stripe):
    stripe.run(YESTERDAY)

    assert json.loads(one(stripe, event_type="charge.succeeded")["data_object"]) == {
        "id": "ch_3PxYzLake",
        "object": "charge",
        "amount": 2_500,
        "amount_refunded": 0,
        "captured": True,
        "currency": "usd",
        "customer": "cus_Q1Lake",
        "livemode": True,
        "outcome": {
            "network_status": "approved_by_network",
            "risk_score": 12,
            "type": "authorized",
        },
        "payment_method": "pm_1PxYzLake",
        "payment_method_details": {"type": "card"},
        "source": {"id": "card_1PxLake", "object": "card"},
        "status": "succeeded",
    }


def test_a_way_of_paying_keeps_its_kind_but_not_its_details(stripe):
    stripe.run(YESTERDAY)

    assert json.loads(one(stripe, event_type="payment_method.attached")["data_object"]) == {
        "id": "pm_1PxLink",
        "object": "payment_method",
        "customer": "cus_Q1Lake",
        "type": "link",
    }


def test_the_parts_that_a_type_names_stay_where_nothing_is_paid_with(stripe):
    stripe.run(YESTERDAY)

    invoice = json.loads(one(stripe, event_type="invoice.paid")["data_object"])
    assert invoice["lines"]["data"] == [
        {
            "id": "il_1Px",
            "object": "line_item",
            "amount": 4_900,
            "parent": {
                "subscription_item_details": {"subscription": "sub_1Px"},
                "type": "subscription_item_details",
            },
        }
    ]
    assert invoice["billing_reason"] == "subscription_cycle"


def test_former_values_are_stored_without_people(stripe):
    stripe.run(YESTERDAY)

    changed = one(stripe, event_type="customer.updated")
    assert json.loads(changed["previous_attributes"]) == {"balance": -500}
    assert changed["customer_id"] == changed["object_id"] == "cus_Q1Lake"


def test_no_address_no_card_and_no_secret_is_written(stripe):
    stripe.fake.events += [
        event(
            at(YESTERDAY, "08:00:00") + place,
            "charge.updated",
            charge(1) | {name: value},
            request={"id": "req_1", "idempotency_key": CALLERS_OWN},
        )
        for place, (name, value) in enumerate(
            {
                "new_field": "Ann Visitor",
                "custom_code": "ann.visitor@example.com",
                "pan": 4_242_424_242_424_242,
                "pan_text": "4242 4242 4242 4242",
                "deep": {"cardholder": {"holder_name": "ann"}, "list": ["Ann Visitor", "ok"]},
                "caller": "+1 408 555 0142",
                "customer": "ann.visitor@example.com",
            }.items()
        )
    ]

    assert stripe.run(TODAY - timedelta(days=3), YESTERDAY).success

    assert leaks_in(stripe, words=PEOPLE + SECRETS) == []
    assert "[address] [number]" in {row["idempotency_key"] for row in stripe.rows(YESTERDAY)}


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        ("invoice.paid", "customer_id", "cus_Q2Lake"),
        ("invoice.paid", "amount_minor", 4_900),
        ("invoice.paid", "request_id", None),
        ("customer.updated", "amount_minor", None),
        ("payment_method.attached", "request_id", f"req_old{YESTERDAY:%Y%m%d}"),
        ("payment_method.attached", "livemode", False),
        ("payment_method.attached", "currency", None),
        ("payment_intent.created", "customer_id", None),
        ("payment_intent.created", "account", "acct_1Connected"),
        ("payment_intent.created", "pending_webhooks", 2),
        ("payment_intent.created", "currency", "jpy"),
    ],
)
def test_columns_are_found_in_objects_of_all_kinds(stripe, kind, column, value):
    stripe.run(YESTERDAY)

    assert one(stripe, event_type=kind)[column] == value


def test_days_begin_and_end_at_midnight_utc(stripe):
    stripe.run(TODAY - timedelta(days=2), YESTERDAY)

    for day in stripe.days:
        assert said(stripe.rows(day)) == expected(day)
        assert {row["created_at"].date() for row in stripe.rows(day)} == {day}


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2026, 3, 8), date(2025, 12, 31)])
def test_leap_days_clock_changes_and_ends_of_years_are_days_like_any(collecting, day):
    lake = collecting("stripe_events", FakeStripe(day + timedelta(days=1)))
    lake.now = datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)

    lake.run(day)

    assert said(lake.rows(day)) == expected(day)


def test_events_outside_the_day_are_not_taken_even_if_they_come(stripe):
    stray = event(at(TODAY, "00:00:00"), "charge.failed", charge(1))
    stripe.fake.break_with(base.rewritten(lambda page: page["data"].insert(0, stray)))

    stripe.run(YESTERDAY)

    assert said(stripe.rows(YESTERDAY)) == expected()


def test_a_busy_day_is_read_page_by_page_to_its_end(stripe):
    start = at(YESTERDAY, "01:00:00")
    stripe.fake.events = [
        event(start + place // 3, "charge.succeeded", charge(place), id=f"evt_1Busy{place:05}")
        for place in range(2_450)
    ]

    stripe.run(YESTERDAY)

    amounts = sorted(row["amount_minor"] for row in stripe.rows(YESTERDAY))
    assert amounts == list(range(2_450))
    assert len(stripe.fake.requests) == 25
    windows = {(r.query["created[gte]"], r.query["created[lt]"]) for r in stripe.fake.requests}
    assert windows == {(f"{at(YESTERDAY, '00:00:00')}", f"{at(TODAY, '00:00:00')}")}


def test_a_page_that_ends_exactly_with_the_day_is_the_last(stripe):
    stripe.fake.page_rows = 5

    stripe.run(YESTERDAY)

    assert said(stripe.rows(YESTERDAY)) == expected()
    assert len(stripe.fake.requests) == 1


def test_events_that_arrive_while_pages_are_read_lose_and_double_nothing(stripe):
    stripe.fake.page_rows = 2

    def arrive(reply):
        late = event(at(YESTERDAY, "23:59:59"), "subscription.late", charge(7))
        stripe.fake.events.append(late)
        return reply

    plan = stripe.fake.break_with(arrive)
    result = stripe.run(YESTERDAY)

    assert plan.times == 0
    assert said(stripe.rows(YESTERDAY)) == expected()
    assert "repeated_rows" not in metadata(result)[f"{YESTERDAY}"]
    stripe.run(YESTERDAY)
    assert len(stripe.rows(YESTERDAY)) == 6


def test_events_that_come_twice_are_kept_once(stripe):
    stripe.fake.page_rows = 2

    def overlap(page):
        page["data"].append(page["data"][0])

    stripe.fake.break_with(base.rewritten(overlap), where="starting_after", skip=1)
    result = stripe.run(YESTERDAY)

    assert said(stripe.rows(YESTERDAY)) == expected()
    assert metadata(result)[f"{YESTERDAY}"]["repeated_rows"] == 1


@pytest.mark.parametrize("rows", [[], day_of(YESTERDAY)], ids=["empty", "the same"])
def test_a_list_that_goes_on_for_ever_is_told(stripe, rows):
    def stuck(page):
        page.update(data=rows, has_more=True)

    stripe.fake.break_with(base.rewritten(stuck), times=99)

    assert "says that it goes on, and does not" in failure(stripe.run(YESTERDAY))
    assert stripe.days == []


def test_a_backfill_writes_each_day_and_keeps_what_is_there(stripe):
    first = TODAY - timedelta(days=10)
    stripe.run(first, first + timedelta(days=2))
    asked = len(stripe.fake.requests)

    result = stripe.run(first, YESTERDAY)

    assert stripe.days == [first + timedelta(days=step) for step in range(10)]
    assert len(stripe.fake.requests) == asked + 7
    assert "kept as it is" in metadata(result)[f"{first}"]["reason"]
    for day in stripe.days:
        assert said(stripe.rows(day)) == expected(day)


def test_days_that_stripe_no_longer_has_are_said_before_anything_is_asked(stripe):
    result = stripe.run(TODAY - timedelta(days=31))

    assert "Stripe keeps events for 30 days" in failure(result)
    assert stripe.fake.requests == []


def test_a_day_of_which_a_part_is_gone_is_not_written_as_if_it_were_whole(stripe):
    cut, whole = TODAY - timedelta(days=30), TODAY - timedelta(days=29)

    result = stripe.run(cut, whole)

    assert stripe.days == [whole]
    assert said(stripe.rows(whole)) == expected(whole)
    assert "1 of 2 days are out of reach: Stripe keeps events for 30 days" in stripe.texts(result)


def test_a_quiet_day_is_a_success_without_rows(stripe):
    stripe.fake.events = []

    result = stripe.run(YESTERDAY)

    assert stripe.rows(YESTERDAY) == []
    assert metadata(result)[f"{YESTERDAY}"]["reason"] == "the source has no rows for the day"


def test_rows_are_exact_after_faults_that_pass(stripe):
    stripe.fake.page_rows = 2
    stripe.run(YESTERDAY)
    without = stripe.rows(YESTERDAY)
    plans = trouble(stripe, "gte", "after", skip=1)

    assert stripe.run(YESTERDAY).success

    assert are_over(plans)
    assert stripe.rows(YESTERDAY) == without
    assert said(without) == expected()


@pytest.mark.parametrize("code", ["lock_timeout", "rate_limit"])
def test_what_is_locked_or_too_much_is_asked_for_again(stripe, code):
    error = json.dumps({"error": {"code": code, "type": "invalid_request_error"}})
    stripe.fake.break_with(base.status(429, text=error), times=2)

    assert stripe.run(YESTERDAY).success
    assert said(stripe.rows(YESTERDAY)) == expected()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page.pop("has_more"), "missing required field `has_more`"),
        (lambda page: page["data"][1].pop("created"), "missing required field `created`"),
        (
            lambda page: page["data"][1].update(created="now"),
            "`created` of an event is no time: 'now'",
        ),
        (lambda page: page["data"][1].update(livemode=None), "`$.data[1].livemode`"),
        (lambda page: page["data"][1].update(data={}), "missing required field `object`"),
        (lambda page: page["data"][1].update(object="v2.core.event", created="soon"), "no time"),
    ],
)
def test_a_field_that_does_not_fit_is_named(stripe, change, says):
    stripe.fake.break_with(base.rewritten(change))

    assert says in failure(stripe.run(YESTERDAY))
    assert stripe.days == []


def test_thin_events_of_the_second_api_are_stored(stripe):
    def thin(page):
        page["data"][1:1] = [
            {
                "id": "evt_test_65Thin",
                "object": "v2.core.event",
                "type": "v1.billing.meter.error_report_triggered",
                "livemode": True,
                "created": f"{YESTERDAY}T17:46:22.134Z",
                "context": "acct_1Other",
                "related_object": {
                    "id": "mtr_test_61",
                    "type": "billing.meter",
                    "url": "/v1/billing/meters/mtr_test_61",
                },
                "reason": {
                    "type": "request",
                    "request": {"id": "req_v2", "idempotency_key": CALLERS_OWN},
                },
                "data": {"developer_message_summary": "Ann Visitor", "reason": {"error_count": 2}},
            },
            {
                "id": "evt_test_66Thin",
                "object": "v2.core.event",
                "type": "v2.core.event_destination.ping",
                "livemode": False,
                "created": f"{YESTERDAY}T17:46:23Z",
                "related_object": None,
                "reason": None,
            },
        ]

    stripe.fake.break_with(base.rewritten(thin))

    result = stripe.run(YESTERDAY)

    assert result.success, failure(result)
    assert len(stripe.rows(YESTERDAY)) == len(expected()) + 2
    row = one(stripe, event_id="evt_test_65Thin")
    assert {name: value for name, value in row.items() if value is not None} == {
        "event_id": "evt_test_65Thin",
        "event_type": "v1.billing.meter.error_report_triggered",
        "livemode": True,
        "account": "acct_1Other",
        "object_id": "mtr_test_61",
        "object_type": "billing.meter",
        "request_id": "req_v2",
        "idempotency_key": "[address] [number]",
        "data_object": '{"reason":{"error_count":2}}',
        "created_at": datetime(
            YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 17, 46, 22, 134_000, tzinfo=UTC
        ),
        "collected_at": stripe.now,
    }
    ping = one(stripe, event_id="evt_test_66Thin")
    assert (ping["object_id"], ping["data_object"], ping["livemode"]) == (None, None, False)


@pytest.mark.parametrize(
    ("change", "column", "kept"),
    [
        (lambda event: event["data"]["object"].update(amount="25.00"), "amount_minor", None),
        (lambda event: event["data"]["object"].update(amount=2**53 + 1), "amount_minor", 2**53 + 1),
        (lambda event: event["data"]["object"].update(amount=2**63), "amount_minor", None),
        (lambda event: event.update(pending_webhooks="two"), "pending_webhooks", None),
        (lambda event: event.update(api_version=2026), "api_version", "2026"),
        (lambda event: event.update(request={"id": 7}), "request_id", "7"),
    ],
)
def test_an_odd_value_loses_no_event(stripe, change, column, kept):
    stripe.fake.break_with(base.rewritten(lambda page: change(page["data"][4])))

    assert stripe.run(YESTERDAY).success

    assert said(stripe.rows(YESTERDAY)) == expected()
    assert one(stripe, event_type="charge.succeeded")[column] == kept


def test_a_new_field_is_no_matter(stripe):
    def grown(page):
        page["page_token"] = None
        for each in page["data"]:
            each["context"] = {"new": True}

    stripe.fake.break_with(base.rewritten(grown))

    assert stripe.run(YESTERDAY).success
    assert said(stripe.rows(YESTERDAY)) == expected()


def test_a_missing_key_skips_the_run_and_says_which(stripe):
    del stripe.env["STRIPE_API_KEY"]

    assert observed(stripe.run(YESTERDAY)) == {
        f"{YESTERDAY}": "Skipped: Stripe is not configured: set STRIPE_API_KEY"
    }
    assert stripe.fake.requests == []
    assert stripe.days == []


def test_a_key_that_stripe_does_not_know_is_told(stripe):
    stripe.env["STRIPE_API_KEY"] = "rk_test_wrong"

    said = failure(stripe.run(YESTERDAY))

    assert "HTTP 401" in said
    assert "check the key" in said
    assert "rk_test_wrong" not in said


def test_the_key_appears_nowhere(stripe, caplog):
    caplog.set_level("DEBUG")
    stripe.fake.break_with(base.status(418, text=f"I know {KEY}"), times=99)

    result = stripe.run(YESTERDAY)

    assert "I know ***" in failure(result)
    assert KEY not in stripe.texts(result)
    assert KEY not in caplog.text

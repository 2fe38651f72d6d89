"""Stripe's list of events as the collector sees it: newest first, cursors, 30 days kept."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from tests.fakes.base import TODAY, Fake, Reply, Request, as_json

KEY = "rk_test_51FakeKeyOfTheLake"
VERSION = "2026-06-24.dahlia"
KEPT = timedelta(days=30)

CARD = {
    "brand": "visa",
    "checks": {"address_line1_check": "pass", "cvc_check": "pass"},
    "country": "US",
    "exp_month": 8,
    "exp_year": 2029,
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "funding": "credit",
    "iin": "424242",
    "last4": "4242",
    "network": "visa",
}
PERSON = {
    "address": {
        "city": "San Jose",
        "country": "US",
        "line1": "12 Main Street",
        "postal_code": "95113",
        "state": "CA",
    },
    "email": "ann.visitor@example.com",
    "name": "Ann Visitor",
    "phone": "+1 408 555 0142",
}


def at(day: date, clock: str) -> int:
    """Unix seconds of a moment in UTC."""
    return int(datetime.combine(day, time.fromisoformat(clock), UTC).timestamp())


def event(created: int, kind: str, changed: Mapping[str, object], **more: object):
    """An event, with an id that follows from its moment and kind."""
    data: dict[str, object] = {"object": changed}
    if "previous_attributes" in more:
        data["previous_attributes"] = more.pop("previous_attributes")
    return {
        "id": f"evt_1{created}{kind.replace('.', '').replace('_', '')}",
        "object": "event",
        "api_version": VERSION,
        "created": created,
        "data": data,
        "livemode": True,
        "pending_webhooks": 0,
        "request": {"id": f"req_{created}", "idempotency_key": f"key-{created}"},
        "type": kind,
    } | more


def charge(amount: int, **more: object) -> dict[str, object]:
    """A paid charge as Stripe tells it, with everything that must not be stored."""
    return {
        "id": "ch_3PxYzLake",
        "object": "charge",
        "amount": amount,
        "amount_refunded": 0,
        "billing_details": PERSON | {"tax_id": None},
        "calculated_statement_descriptor": "LAKE ANN VISITOR",
        "captured": True,
        "currency": "usd",
        "customer": "cus_Q1Lake",
        "description": "Consultation for Ann Visitor, 4242 4242 4242 4242",
        "fraud_details": {},
        "livemode": True,
        "metadata": {"contact": "ann.visitor@example.com", "seat": "12A"},
        "outcome": {
            "network_status": "approved_by_network",
            "risk_score": 12,
            "type": "authorized",
        },
        "payment_method": "pm_1PxYzLake",
        "payment_method_details": {"card": CARD, "type": "card"},
        "receipt_email": "ann.visitor@example.com",
        "receipt_url": "https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8x",
        "shipping": {"address": PERSON["address"], "name": "Ann Visitor"},
        "source": {"id": "card_1PxLake", "object": "card", "name": "Ann Visitor"} | CARD,
        "status": "succeeded",
    } | more


def day_of(day: date) -> list[dict[str, object]]:
    """What happens on every day, from its first second to its last."""
    return [
        event(at(day, "00:00:00"), "charge.succeeded", charge(2_500)),
        event(
            at(day, "09:30:00"),
            "customer.updated",
            {"id": "cus_Q1Lake", "object": "customer", "balance": 0, "delinquent": False}
            | PERSON
            | {"invoice_settings": {"default_payment_method": "pm_1PxYzLake"}},
            previous_attributes={"email": "ann.old@example.com", "balance": -500},
        ),
        event(
            at(day, "12:00:00"),
            "invoice.paid",
            {
                "id": "in_1PxLake",
                "object": "invoice",
                "amount_due": 4_900,
                "amount_paid": 4_900,
                "billing_reason": "subscription_cycle",
                "currency": "eur",
                "customer": {"id": "cus_Q2Lake", "object": "customer"} | PERSON,
                "customer_email": "ann.visitor@example.com",
                "customer_name": "Ann Visitor",
                "hosted_invoice_url": "https://invoice.stripe.com/i/acct_1/live_YWNjdF8x",
                "lines": {
                    "object": "list",
                    "data": [
                        {
                            "id": "il_1Px",
                            "object": "line_item",
                            "amount": 4_900,
                            "description": "1 × Seat of Ann Visitor",
                            "parent": {
                                "subscription_item_details": {"subscription": "sub_1Px"},
                                "type": "subscription_item_details",
                            },
                        }
                    ],
                },
                "status": "paid",
                "total": 4_900,
            },
            request={"id": None, "idempotency_key": None},
        ),
        event(
            at(day, "17:00:00"),
            "payment_method.attached",
            {
                "id": "pm_1PxLink",
                "object": "payment_method",
                "billing_details": PERSON,
                "customer": "cus_Q1Lake",
                "link": {"email": "ann.visitor@example.com", "funding": "ann"},
                "type": "link",
            },
            request=f"req_old{day:%Y%m%d}",
            livemode=False,
        ),
        event(
            at(day, "23:59:59"),
            "payment_intent.created",
            {
                "id": "pi_3PxLake",
                "object": "payment_intent",
                "amount": 1_200,
                "client_secret": "pi_3PxLake_secret_Zm9v",
                "currency": "jpy",
                "customer": None,
                "last_payment_error": None,
                "payment_method_types": ["card", "link"],
                "status": "requires_payment_method",
            },
            account="acct_1Connected",
            pending_webhooks=2,
        ),
    ]


class FakeStripe(Fake):
    """`events` in any order; `page_rows` is the most that an answer has. It is noon of `today`."""

    name = "stripe"

    def __init__(self, today: date = TODAY) -> None:
        super().__init__(today)
        self.page_rows = 100
        days = [today - timedelta(days=back) for back in range(41)]
        self.events = [each for day in days for each in day_of(day)]

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "STRIPE_BASE_URL": self.url,
            "STRIPE_API_KEY": KEY,
            "STRIPE_REQUESTS_PER_S": "1000",
        }

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            error = {"message": "Invalid API Key provided.", "type": "invalid_request_error"}
            return as_json({"error": error}, status=401)
        if request.path != "/v1/events":
            return as_json({"error": {"message": "Unrecognized request URL."}}, status=404)
        query = request.query
        oldest = at(self.today, "12:00:00") - int(KEPT.total_seconds())
        first = max(int(query.get("created[gte]", 0)), oldest)
        end = int(query.get("created[lt]", 2**40))
        listed = sorted(self.events, key=lambda each: (each["created"], each["id"]), reverse=True)
        listed = [each for each in listed if first <= each["created"] < end]
        ids = [each["id"] for each in listed]
        after = query.get("starting_after")
        if after is not None and after not in ids:
            return as_json({"error": {"message": f"No such event: '{after}'"}}, status=404)
        start = 0 if after is None else ids.index(after) + 1
        stop = start + min(int(query.get("limit", 10)), self.page_rows)
        return as_json(
            {
                "object": "list",
                "data": listed[start:stop],
                "has_more": stop < len(listed),
                "url": "/v1/events",
            }
        )

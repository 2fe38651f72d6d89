"""What is read out of Stripe's objects, and what is stored of them: nothing about people.

Belongs here: which parts of an object are kept, and where the parts that have columns are found.
Does not belong here: fetching (`stripe`).

Stripe has hundreds of kinds of objects and adds fields all the time, so it is not enough to know
the personal ones. Numbers and truths are kept. A text is kept only where it reads as an id or a
code (`ch_3Px…`, `succeeded`, `usd`, `US`, a version): sentences, addresses, links and secrets do
not. Left out by name as well are fields that could pass for codes (a name such as `ann`, the last
digits of a card), and what describes the card or account that was paid with.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from lake_assets.sources.personal import masked_text, may_be_card
from lake_assets.sources.values import json_text

Fields = Mapping[str, object]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_AMOUNTS = ("amount", "total", "amount_total")
_PERSONAL_WORDS = _words("""
    name names email emails phone address addresses city street line1 line2 postal zip state last4
    fingerprint iin bin brand dob birth ssn secret token ip iban bic swift routing
    descriptor nickname signature username password owner individual person holder number
""")
"""Words of field names. `state` is one of an address; Stripe calls its own states `status`."""

_PERSONAL_FIELDS = _words("""
    billing_details shipping shipping_details customer_details customer_shipping exp_month exp_year
    card cards card_present bank_account us_bank_account sepa_debit external_accounts sources
    relationship evidence tax_ids customer_tax_ids custom_fields metadata user_agent device_details
    fraud_details network
""")
_PAYING = re.compile(r"payment_method|source|destination_details")
_INSTRUMENTS = _words("card bank_account source payment_method")
_INSTRUMENT_FIELDS = ("id", "object", "type", "customer", "status", "created", "livemode")
"""All that is stored of an object that is itself a card or the like."""

_CODE = re.compile(
    r"(?!.*_secret_)(?:[a-z][a-z0-9]*(?:[._:-][a-z0-9]+)*"  # succeeded, charge_automatically
    r"|[a-z]+(?:_[a-z0-9]+)*_[A-Za-z0-9]+"  # ch_3PxY, evt_1N
    r"|[A-Z]{2,3}"  # US
    r"|-?\d{1,8}(?:\.\d{1,12})?"  # 8.25
    r"|\d{4}-\d{2}-\d{2}(?:\.[a-z]+)?)"  # 2026-06-24.dahlia
)
_LONGEST_CODE_CHARS = 200
_REMOVED = object()


def text_of(fields: Fields, name: str) -> str | None:
    """A field that is a text."""
    value = fields.get(name)
    return masked_text(value) if isinstance(value, str) else None


def customer_of(fields: Fields) -> str | None:
    """The customer's id, also where the object is the customer, or holds it as a whole."""
    customer = fields if fields.get("object") == "customer" else fields.get("customer")
    held = cast("Fields", customer) if isinstance(customer, Mapping) else {"id": customer}
    return text_of(held, "id")


def amount_of(fields: Fields) -> object:
    """The main amount, which has another name per kind of object; None without one."""
    return next((fields[name] for name in _AMOUNTS if fields.get(name) is not None), None)


def stored_of(fields: Fields) -> str:
    """The object as JSON without people."""
    return json_text(_without_people(fields))


def _without_people(fields: Fields, *, paying: bool = False) -> dict[str, object]:
    """The fields that are kept, at any depth. Of what was paid with, `type` names the details."""
    if fields.get("object") in _INSTRUMENTS:
        fields = {name: fields[name] for name in _INSTRUMENT_FIELDS if name in fields}
    kept: dict[str, object] = {}
    for name, value in fields.items():
        described = paying and name == fields.get("type")
        if described or name in _PERSONAL_FIELDS or _PERSONAL_WORDS & set(name.split("_")):
            continue
        stored = _stored(name, value)
        if stored is not _REMOVED:
            kept[name] = stored
    return kept


def _stored(name: str, value: object) -> object:
    if isinstance(value, str):
        is_code = len(value) <= _LONGEST_CODE_CHARS and _CODE.fullmatch(value)
        return value if is_code else _REMOVED
    if isinstance(value, Mapping):
        return _without_people(cast("Fields", value), paying=bool(_PAYING.search(name)))
    if isinstance(value, Sequence):
        parts = [_stored(name, part) for part in cast("Sequence[object]", value)]
        return [part for part in parts if part is not _REMOVED]
    if isinstance(value, int) and may_be_card(value):
        return _REMOVED
    return value

"""Taking people out of what sources send."""

import hashlib

import pytest

from lake_assets.sources.personal import (
    masked,
    masked_text,
    page_of,
    plain,
    recipient,
    without_addresses,
)


def test_the_lower_cased_address_is_what_is_hashed():
    assert recipient("Ann <Ann@Example.com>") == recipient(" ann@example.com ")
    assert recipient("ann@example.com") == {
        "recipient_hash": hashlib.sha256(b"ann@example.com").hexdigest(),
        "recipient_domain": "example.com",
    }
    assert plain("hello@lake.example") == "hello@lake.example"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("to ann.b+c@mail.example.co.uk, ok", "to [address], ok"),
        ("https://x.example/?m=ann%40example.com&n=1", "https://x.example/?m=[address]&n=1"),
        ("<Ännchen@müller.example>", "<[address]>"),
        ("@octo met @hubot at 5@7", "@octo met @hubot at 5@7"),
        ("a" * 200_000, "a" * 200_000),
    ],
)
def test_addresses_in_texts_are_masked(text, clean):
    assert without_addresses(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("call +49 (30) 1234-5678 now", "call [number] now"),
        ("card 4242 4242 4242 4242.", "card [number]."),
        ("evt_1234567890123456, 2026-11-23T12:00", "evt_1234567890123456, 2026-11-23T12:00"),
    ],
)
def test_numbers_of_people_in_texts_are_masked(text, clean):
    assert masked_text(text) == clean


def test_a_value_is_masked_at_any_depth_and_what_is_left_out_is_gone():
    value = {"who": [{"email": "x", "ann@example.com": 4242424242424242, "n": 7, "ok": True}]}

    assert masked(value, leave_out={"email"}) == {
        "who": [{"[address]": "[number]", "n": 7, "ok": True}]
    }


def test_a_link_is_cut_to_its_page():
    assert page_of("https://ann:pw@x.example/m/ann%40x.example?t=1#a") == (
        "https://x.example/m/[address]"
    )

from decimal import Decimal

import pytest

from lake_assets.sources.errors import FieldMismatch
from lake_assets.sources.values import json_text, number, whole


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("9007199254740993", 9_007_199_254_740_993),
        ("12,345,678,901,234,567", 12_345_678_901_234_567),
        (" -123456789012345678901234567890 ", -123_456_789_012_345_678_901_234_567_890),
        ("12.0", 12),
        (9_007_199_254_740_993, 9_007_199_254_740_993),
        (Decimal("9007199254740993"), 9_007_199_254_740_993),
        ("", None),
        (None, None),
    ],
)
def test_whole_numbers_keep_every_digit(written, exact):
    assert whole(written, "count") == exact


@pytest.mark.parametrize("written", ["1.5", "many", "nan", "inf", [1], 10**400])
def test_what_is_no_whole_number_is_named(written):
    with pytest.raises(FieldMismatch, match="`count` is no"):
        whole(written, "count")


def test_numbers_come_as_numbers_or_text():
    assert [number(each, "x") for each in (1, 1.5, Decimal("2.5"), "4.6%", " ")] == [
        *(1.0, 1.5, 2.5, 4.6),
        None,
    ]


def test_json_keeps_the_digits_that_were_read():
    value = {"big": 10**30, "exact": Decimal("0.1234567890123456789"), "text": "1"}

    assert json_text(value) == (
        '{"big":1000000000000000000000000000000,"exact":0.1234567890123456789,"text":"1"}'
    )

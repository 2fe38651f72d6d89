"""Looking for people in everything that a dataset's runs wrote: addresses, cards, phones, words."""

import re
from collections.abc import Collection

from tests.sources.conftest import Collecting

ADDRESS = re.compile(r"[^\s\"'<>,;:@]+(?:@|%40)[\w-]+\.[\w.-]+")
CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
PHONE = re.compile(r"(?<!\w)\+\d[\d ().-]{7,}\d")


def leaks_in(
    lake: Collecting, *, words: Collection[str] = (), allowed: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Every (column, find) in any stored row: addresses, card and phone numbers, planted words.

    Columns that may hold an address are `allowed`.
    """
    return [
        (column, find)
        for day in lake.days
        for row in lake.rows(day)
        for column, value in row.items()
        if column not in allowed
        for find in _people_in(str(value), words)
    ]


def is_card(number: str) -> bool:
    """Luhn's sum, as all card numbers have it."""
    digits = [int(digit) for digit in reversed(number) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _people_in(text: str, words: Collection[str]) -> list[str]:
    return [
        *ADDRESS.findall(text),
        *(number for number in CARD.findall(text) if is_card(number)),
        *PHONE.findall(text),
        *(word for word in words if word.lower() in text.lower()),
    ]

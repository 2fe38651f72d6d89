"""Looking for people in everything that a dataset's runs wrote: addresses, cards, phones, words."""

import re
from collections.abc import Collection

from tests.sources.conftest import Collecting
from tests.sources.personal import addresses_in

CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
PHONE = re.compile(r"(?<!\w)\+\d[\d ().-]{7,}\d")


def leaks_in(lake: Collecting, *, words: Collection[str] = ()) -> list[tuple[str, str]]:
    """Every (column, find) in any stored row: addresses, card and phone numbers, planted words."""
    found = addresses_in(lake)
    for day in lake.days:
        for row in lake.rows(day):
            for column, value in row.items():
                text = str(value)
                finds = [number for number in CARD.findall(text) if is_card(number)]
                finds += PHONE.findall(text)
                finds += [word for word in words if word.lower() in text.lower()]
                found += [(column, find) for find in finds]
    return found


def is_card(number: str) -> bool:
    """Luhn's sum, as all card numbers have it."""
    digits = [int(digit) for digit in reversed(number) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0

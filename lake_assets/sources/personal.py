"""What people can be known by besides their address: phone and card numbers, and links.

Belongs here: taking numbers out of any text or JSON value, cutting links short.
Does not belong here: e-mail addresses alone (`email_addresses`), or which fields of a source are
personal (its own module).

Fields that are known to be personal are left out by name, by the collector. This is the second
fence: it looks at what is left, whatever field it came in.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

from lake_assets.sources import email_addresses

MASK = "[number]"

# Not within a longer word: ids such as `evt_1234567890123456` are no numbers of anybody.
_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w.-])")
_PHONE = re.compile(r"(?<![\w.+-])\+\d(?:[ ().-]{0,2}\d){7,14}(?![\w-])")
_LONGEST_NUMBER = 10**12
"""From here on a whole number may be that of a card; amounts and Unix seconds are smaller."""


def has_address(text: str) -> bool:
    """Whether an e-mail address is in the text, also as links write it."""
    return email_addresses.masked(text) != text


def hashed(address: str) -> str:
    """SHA-256 of an e-mail address in lower case."""
    return hashlib.sha256(email_addresses.plain(address).encode()).hexdigest()


def masked_text(text: str) -> str:
    """The text with masks in place of e-mail addresses, phone and card numbers."""
    return _PHONE.sub(MASK, _CARD.sub(MASK, email_addresses.masked(text)))


def may_be_card(number: int) -> bool:
    """Whether a number is as long as that of a card."""
    return abs(number) >= _LONGEST_NUMBER


def masked(value: object) -> object:
    """A JSON value with everything in it masked, names of fields included."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, int) and may_be_card(value):
        return MASK
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return {masked_text(name): masked(inner) for name, inner in fields.items()}
    if isinstance(value, Sequence):
        return [masked(inner) for inner in cast("Sequence[object]", value)]
    return value


def page_of(link: str) -> str:
    """Where a link leads, without what it carries along: no query, no fragment, no login."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return masked_text(link.partition("?")[0])
    host = parts.netloc.rpartition("@")[2]
    return masked_text(unquote(urlunsplit((parts.scheme, host, parts.path, "", ""))))

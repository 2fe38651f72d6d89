"""What people can be known by: e-mail addresses, phone and card numbers, links; hashed or masked.

Belongs here: recognising them in any text or JSON value, and taking them out.
Does not belong here: which fields of a source are personal (its own module).

Fields that are known to be personal are left out by name, by the collector. Masking is the second
fence: it looks at what is left, whatever field it came in.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from email.utils import parseaddr
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

ADDRESS_MASK = "[address]"
NUMBER_MASK = "[number]"

# Starting only where no such run began before, and never giving back, keeps it linear.
_ADDRESS = re.compile(r"(?<![\w.+'-])[\w.+'-]++(?:@|%40)[\w-]++(?:\.[\w-]++)+")
# Not within a longer word: ids such as `evt_1234567890123456` are no numbers of anybody.
_CARD = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_PHONE = re.compile(r"(?<![\w.+-])\+\d(?:[ ().-]{0,2}\d){7,14}(?![\w-])")
_LONGEST_NUMBER = 10**12
"""From here on a whole number may be that of a card; amounts and Unix seconds are smaller."""


def plain(written: str) -> str:
    """The lower-cased address of `Ann <Ann@Example.com>`."""
    return (parseaddr(written)[1] or written).strip().lower()


def hashed(written: str) -> str:
    """SHA-256 of an e-mail address in lower case."""
    return hashlib.sha256(plain(written).encode()).hexdigest()


def recipient(written: str) -> Mapping[str, str]:
    """The columns by which a recipient is known: SHA-256 of the address, and its domain."""
    return {
        "recipient_hash": hashed(written),
        "recipient_domain": plain(written).rpartition("@")[2],
    }


def has_address(text: str) -> bool:
    """Whether an e-mail address is in the text, also as links write it."""
    return _ADDRESS.search(text) is not None


def without_addresses(text: str) -> str:
    """The text with a mask in place of every address, those in links (`%40`) included."""
    return _ADDRESS.sub(ADDRESS_MASK, text)


def masked_text(text: str) -> str:
    """The text with masks in place of e-mail addresses, phone and card numbers."""
    return _PHONE.sub(NUMBER_MASK, _CARD.sub(NUMBER_MASK, without_addresses(text)))


def may_be_card(number: int) -> bool:
    """Whether a number is as long as that of a card."""
    return abs(number) >= _LONGEST_NUMBER


def masked(value: object, *, leave_out: Collection[str] = ()) -> object:
    """A JSON value with everything in it masked, names of fields included.

    Fields whose names are in `leave_out` are not in it, at any depth.
    """
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, int) and may_be_card(value):
        return NUMBER_MASK
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return {
            masked_text(name): masked(inner, leave_out=leave_out)
            for name, inner in fields.items()
            if name not in leave_out
        }
    if isinstance(value, Sequence):
        items = cast("Sequence[object]", value)
        return [masked(inner, leave_out=leave_out) for inner in items]
    return value


def page_of(link: str) -> str:
    """Where a link leads, without what it carries along: no query, no fragment, no login."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return masked_text(link.partition("?")[0])
    host = parts.netloc.rpartition("@")[2]
    return masked_text(unquote(urlunsplit((parts.scheme, host, parts.path, "", ""))))

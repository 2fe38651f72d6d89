"""E-mail addresses as the lake may know them: hashed, or masked.

Belongs here: recognising addresses, and taking personal data out of what a source sent.
Does not belong here: which columns of a dataset hold a hash (its collector).
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from email.utils import parseaddr
from typing import cast

MASK = "[address]"

# Starting only where no such run began before, and never giving back, keeps it linear.
_ADDRESS = re.compile(r"(?<![\w.+'-])[\w.+'-]++(?:@|%40)[\w-]++(?:\.[\w-]++)+")


def plain(written: str) -> str:
    """The lower-cased address of `Ann <Ann@Example.com>`."""
    return (parseaddr(written)[1] or written).strip().lower()


def recipient(written: str) -> Mapping[str, str]:
    """The columns by which a recipient is known: SHA-256 of the address, and its domain."""
    address = plain(written)
    return {
        "recipient_hash": hashlib.sha256(address.encode()).hexdigest(),
        "recipient_domain": address.rpartition("@")[2],
    }


def masked(text: str) -> str:
    """The text with a mask in place of every address, those in links (`%40`) included."""
    return _ADDRESS.sub(MASK, text)


def without_personal(value: object, *, leave_out: Collection[str]) -> object:
    """A JSON value without the fields of these names, at any depth, and with masked texts."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, list):
        items = cast(Sequence[object], value)
        return [without_personal(item, leave_out=leave_out) for item in items]
    if isinstance(value, dict):
        fields = cast(Mapping[str, object], value)
        return {
            masked(name): without_personal(item, leave_out=leave_out)
            for name, item in fields.items()
            if name not in leave_out
        }
    return value

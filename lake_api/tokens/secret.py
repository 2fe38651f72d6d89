"""The text of a token: a prefix that tells what it is, and 256 random bits.

Belongs here: minting, recognising and hashing.
Does not belong here: what a token allows (`grants`).

Only the hash is stored. A plain SHA-256 does: the bits are random, so nothing can be guessed.
"""

import hashlib
import re
import secrets
from enum import Enum

_RANDOM_BYTES = 32
_TEXT = re.compile(r"lake_(?:swarm|agent)_[A-Za-z0-9_-]{43}")


class TokenKind(Enum):
    """What a token stands for: an organisation that makes tokens, or one agent."""

    SWARM = "swarm"
    AGENT = "agent"


def mint(kind: TokenKind) -> str:
    """A new token's text, told once to who asked for it."""
    return f"lake_{kind.value}_{secrets.token_urlsafe(_RANDOM_BYTES)}"


def is_token(text: str) -> bool:
    """Whether a text looks like a token; what does not is never looked up."""
    return _TEXT.fullmatch(text) is not None


def hash_of(text: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(text.encode()).hexdigest()

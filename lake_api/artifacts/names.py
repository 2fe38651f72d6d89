"""What a file may be called: any words, and nothing that a terminal or a file system would obey.

Belongs here: cleaning a name. Does not belong here: where the bytes lie, which is never by name.
"""

import re
import unicodedata

MAX_NAME_BYTES = 200

# Controls, marks that turn the direction of text, lone surrogates, private and unassigned ones.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_AWKWARD = re.compile(r'[<>:"|?*%;\'`$&]')
_SPACES = re.compile(r"\s+")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_MAX_SUFFIX_BYTES = 20


def clean_name(text: str) -> str | None:
    """The name without folders and what must not be in one, or None when nothing is left."""
    name = unicodedata.normalize("NFC", text).replace("\\", "/").rpartition("/")[2]
    # Spaces first: a line break is a control and a space at once.
    name = _SPACES.sub(" ", name)
    name = "".join(char for char in name if unicodedata.category(char) not in _UNSEEN)
    name = _AWKWARD.sub("_", name).strip(" .")
    if _DEVICES.match(name):
        name = f"_{name}"
    return _shortened(name) or None


def _shortened(name: str) -> str:
    """The name within its bytes, with its suffix."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    ending = f"{dot}{suffix}"
    if not stem or len(ending.encode()) > _MAX_SUFFIX_BYTES:
        stem, ending = name, ""
    kept = stem.encode()[: MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore")
    return f"{kept.rstrip(' .')}{ending}"

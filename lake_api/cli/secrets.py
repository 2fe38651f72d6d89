"""Taking secrets out of texts that somebody will hand on.

Belongs here: which values are secrets, by the names of settings, by their place in a URL, by their
form; and hiding them.
Does not belong here: which texts are shown (`doctor`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

HIDDEN = "<hidden>"

_LEAST_CHARS = 4
_WORDS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|(?:api|access|account|private|signing|"
    r"encryption|master|session|internal)?[_-]?key|auth(?:orization)?|signature|sig|cookie|dsn|jwt|"
    r"bearer|webhook(?:_url)?"
)
_SECRET_NAME = re.compile(
    rf"(?:^|[_-])(?:{_WORDS})(?:[_-]|s?$)|password|passwd|secret|token|api_?key", re.IGNORECASE
)
# Folders, by their conventional names.
_NO_SECRETS = frozenset({"PWD", "OLDPWD"})
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s'\"<>]*@", re.IGNORECASE)
_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
_FORMS = (
    re.compile(r"\blake_[a-z]+_[\w-]{8,}"),
    re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"),
    re.compile(r"\b(?:sk|rk|pk|ghp|gho|ghs|github_pat|xox[abprs]|glpat)[-_][\w-]{10,}"),
    re.compile(r"(?<=\bhooks\.slack\.com/services/)\S+"),
)
_SCHEMES = re.compile(r"\b(?P<name>Bearer|Basic|Digest)\s+[\w.~+/=-]+", re.IGNORECASE)
_NAMED = re.compile(
    rf"(?P<name>[\w.-]*(?:{_WORDS})s?[\"']?\s*(?:[=:]|=>)\s*)"
    r"(?:\"[^\"\n]*\"?|'[^'\n]*'?|[^\s,;&\"']+)",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret."""
    return name not in _NO_SECRETS and _SECRET_NAME.search(name) is not None


def secrets_of(settings: Mapping[str, str], *, names: Iterable[str] = ()) -> Iterator[str]:
    """The secrets among some settings: by name, and whatever stands before the @ of a URL."""
    known = frozenset(names)
    for name, value in settings.items():
        if name in known or is_secret_name(name):
            yield value
        for part in re.findall(r"//([^\s]*)@", value):
            yield part
            _, colon, password = part.partition(":")
            if colon:
                yield password


class Scrubber:
    """Hides known secrets, and what looks like one, in texts and in whole documents."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known: set[str] = set()
        for secret in secrets:
            for line in (secret, *secret.splitlines()):
                text = line.strip()
                plain = unquote(text)
                known |= {text, plain, quote(text, safe=""), quote(plain, safe=""), quote(plain)}
        usable = (text for text in known if len(text) >= _LEAST_CHARS)
        self._known = sorted(usable, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        text = _BLOCK.sub(HIDDEN, text)
        text = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
        text = _SCHEMES.sub(rf"\g<name> {HIDDEN}", text)
        text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
        for form in _FORMS:
            text = form.sub(HIDDEN, text)
        return text

    def document(self, value: Any) -> Any:
        """A document of dicts, lists and texts without secrets; keys are names and stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.document(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(one) for one in value]
        return value


def address_of(url: str) -> str:
    """Scheme, host and port of a URL, and nothing else of it; a text that is none is not shown."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "set, and not readable as a URL"
    # A password with a slash in it moves the host out of its place.
    if not host or "@" in parts.path + parts.query + parts.fragment:
        return "set, and not readable as a URL"
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{host}" + (f":{port}" if port else "")

"""Error texts of runs, made fit for a caller's eyes.

Belongs here: cutting a message to its first line and taking out what it must not tell.
Does not belong here: finding the message (`dagster`).
"""

import re

MAX_CHARS = 500

_CLASS_PATH = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Z]\w*:)")
_NOISE_CLASS = re.compile(r"^(?:Failure|Exception|RuntimeError): ")
_SECRETS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "<address>"),
    (
        re.compile(
            r"(?P<name>\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|"
            r"authorization)\s*[=:]\s*)(?:Bearer\s+)?\S+",
            re.IGNORECASE,
        ),
        r"\g<name><hidden>",
    ),
    (re.compile(r"\S*\bdate=\d{4}-\d{2}-\d{2}/\S*"), "<object>"),
    (re.compile(r"(?<![\w/.<])/(?:[\w.@+-]+/)+[\w.@+-]*"), "<path>"),
    (re.compile(r"\b[A-Za-z]:\\\S+"), "<path>"),
)


def first_line(message: str) -> str:
    """The first line of a message without class paths, addresses, secrets and file paths."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    line = lines[0] if lines else "no message"
    line = _NOISE_CLASS.sub("", _CLASS_PATH.sub("", line))
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return line if len(line) <= MAX_CHARS else f"{line[: MAX_CHARS - 1]}…"

"""What can go wrong between the lake and a source: the one error tree of all collectors.

Belongs here: errors by what the caller should do about them.
Does not belong here: errors of the lake's own storage (`storage`).

    SourceError
    ├─ SourceUnavailable   no answer, or not now: trying again may help
    │  └─ SourceLocked     another session holds a table; it may have let go by then
    ├─ SourceCancelled     somebody stopped the statement: it is not tried again by itself
    ├─ SourceMismatch      not what we expect of it: trying again will not help
    │  ├─ FieldMismatch    a field is missing, or its value is of another kind
    │  └─ NotShownAnyMore  the source shows nothing of the day now; other days of a run go on
    ├─ NotPublishedYet     no fault: the source has not released the day; the next tick asks again
    └─ NotConfigured       no fault: a required setting is missing, so the source was not asked
"""


class SourceError(RuntimeError):
    """The first line says what happened, and never holds a secret."""


class SourceUnavailable(SourceError):
    """The source did not answer, or broke off; trying again may help."""


class SourceLocked(SourceUnavailable):
    """Another session holds a lock on what is read; the message says what to do."""


class SourceCancelled(SourceError):
    """The statement was cancelled, by a person or a time limit: it is not tried again by itself."""


class SourceMismatch(SourceError):
    """The source is not what the declaration says; trying again will not help."""


class FieldMismatch(SourceMismatch):
    """A field of an answer is `missing`, or its value is of another kind than expected."""

    def __init__(self, message: str, *, field: str, missing: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.missing = missing


class NotShownAnyMore(SourceMismatch):
    """The source no longer shows anything of the day; what the lake has of it stays."""


class NotPublishedYet(SourceError):
    """The source has not released what was asked for; a later tick will find it."""


class NotConfigured(SourceError):
    """A required setting is missing; the message names it."""

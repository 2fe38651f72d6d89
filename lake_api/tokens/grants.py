"""What a caller may do: which datasets it reads, which operations, how much.

Belongs here: patterns of datasets and their meaning, limits as data.
Does not belong here: who has which grant (`store`), counting (`lake_api.usage`).

A pattern is a dataset's name with `*` for any characters, `/` included. A pattern after `!` takes
away: a dataset is readable when some pattern fits and no `!` pattern does, in any order. What the
service records of all callers must be named in full.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import msgspec

from lake_assets.catalog import Dataset, ServiceSource

OPERATIONS = ("query", "jobs", "exports", "artifacts", "trigger")
"""Everything that a token can allow."""

_PATTERN = re.compile(r"!?[a-z0-9_/*]{1,128}")
_MAX_PATTERNS = 64


class TokenLimits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How much a token may use; None is no limit of its own. Days are UTC days."""

    requests_per_second: int | None = None
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    concurrent_queries: int | None = None
    rows_per_day: int | None = None
    bytes_per_day: int | None = None
    seconds_per_day: int | None = None


class BadPattern(ValueError):
    """A text is no pattern of datasets; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one caller may do. `within` is the swarm's grant: an agent never has more."""

    datasets: tuple[str, ...] = ("*",)
    operations: frozenset[str] = frozenset(OPERATIONS)
    limits: TokenLimits = field(default_factory=TokenLimits)
    within: "Grant | None" = None
    is_everything: bool = False

    def may_read(self, dataset: Dataset) -> bool:
        """Whether the caller may read a dataset, or learn that there is one."""
        if self.is_everything:
            return True
        name = dataset.partition
        if isinstance(dataset.source, ServiceSource):
            # It tells what all callers did: nobody reads it by a pattern that happens to fit.
            is_allowed = name in self.datasets
        else:
            is_allowed = any(one.fullmatch(name) for one in self._allowed)
        return (
            is_allowed
            and not any(one.fullmatch(name) for one in self._taken)
            and (self.within is None or self.within.may_read(dataset))
        )

    def may(self, operation: str) -> bool:
        """Whether the caller may do it at all."""
        return operation in self.operations and (self.within is None or self.within.may(operation))

    def inside(self, swarm: "Grant") -> "Grant":
        """The grant, with nothing beyond the swarm's."""
        return replace(self, within=swarm)

    @cached_property
    def _allowed(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_compiled(one) for one in self.datasets if not one.startswith("!"))

    @cached_property
    def _taken(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_compiled(one[1:]) for one in self.datasets if one.startswith("!"))


EVERYTHING = Grant(is_everything=True)
"""What the admin may do, and an internal agent."""

NOTHING = Grant(datasets=(), operations=frozenset())
"""What somebody may do of whom only the name is known."""


def checked_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns, when all of them are ones.

    Raises:
        BadPattern: one is not, there are none, or too many.
    """
    if not 1 <= len(patterns) <= _MAX_PATTERNS:
        raise BadPattern(f"1 to {_MAX_PATTERNS} patterns are needed")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise BadPattern(
                f"`{pattern[:140]}` is no pattern: use a-z, 0-9, `_`, `/`, `*`, and `!` in front"
            )
    if all(pattern.startswith("!") for pattern in patterns):
        raise BadPattern("patterns that only take away allow nothing: add one such as `*`")
    return tuple(patterns)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))

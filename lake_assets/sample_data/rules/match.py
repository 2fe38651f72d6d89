"""How a rule is found: the first one whose pattern is the whole name of the column.

Belongs here: the form of a table of rules.
Does not belong here: a rule.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lake_assets.catalog import Column
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.values import Values

Make = Callable[[Frame, Column], Values]


@dataclass(frozen=True, slots=True)
class Rules:
    """Makers by the pattern of column names, asked in order; `otherwise` if none fits."""

    by_name: tuple[tuple[re.Pattern[str], Make], ...]
    otherwise: Make

    def make(self, frame: Frame, column: Column) -> Values:
        """The values of a column by the first rule that fits."""
        for pattern, make in self.by_name:
            if pattern.fullmatch(column.name):
                return make(frame, column)
        return self.otherwise(frame, column)


def rules(*by_name: tuple[str, Make], otherwise: Make) -> Rules:
    """A table of rules from patterns as text."""
    return Rules(tuple((re.compile(pattern), make) for pattern, make in by_name), otherwise)

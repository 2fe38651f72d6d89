"""The shapes of npm's and PyPI Stats' answers: what `npm_pypi` reads of them.

Belongs here: fields. Does not belong here: asking for them (`npm_pypi`).
"""

from datetime import date

import msgspec


class NpmDay(msgspec.Struct):
    """One day of npm's."""

    day: date
    downloads: int


class NpmRange(msgspec.Struct):
    """Answer of npm's `/downloads/range/…`."""

    downloads: list[NpmDay]
    package: str


class PypiDay(msgspec.Struct):
    """One day of PyPI Stats', in one category."""

    category: str
    date: date
    downloads: int


class PypiOverall(msgspec.Struct):
    """Answer of PyPI Stats' `/api/packages/…/overall`."""

    data: list[PypiDay]
    package: str

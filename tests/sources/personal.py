"""Looking for e-mail addresses in everything that a dataset's runs wrote."""

import re
from collections.abc import Collection

from tests.sources.conftest import Collecting

ADDRESS = re.compile(r"[^\s\"'<>,;:@]+(?:@|%40)[\w-]+\.[\w.-]+")


def addresses_in(lake: Collecting, *, allowed: Collection[str] = ()) -> list[tuple[str, str]]:
    """Every (column, address) in any stored row, but those in columns that may hold one."""
    return [
        (column, address)
        for day in lake.days
        for row in lake.rows(day)
        for column, value in row.items()
        if column not in allowed
        for address in ADDRESS.findall(str(value))
    ]

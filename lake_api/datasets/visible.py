"""The catalogue as one caller sees it: its datasets, and texts that name no other.

Belongs here: finding what the caller may read, and keeping the rest unnamed.
Does not belong here: who may read what (`tokens.grants`), the answers (`describe`).

Descriptions refer to each other ("as in `agent_run_log`"). For a caller who may not read what is
referred to, the name is taken out: it would tell that there is such a dataset.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from lake_api.nearest import did_you_mean
from lake_assets.catalog import Catalog, Dataset

_NAME = re.compile(r"`?\b([a-z][a-z0-9_]*(?:/[a-z0-9_]+)*)\b`?")
_UNNAMED = "another dataset"


class VisibleCatalog:
    """What one caller sees of a catalogue; `datasets` are in its order."""

    def __init__(self, catalog: Catalog, readable: tuple[bool, ...]) -> None:
        pairs = tuple(zip(catalog, readable, strict=True))
        self.datasets = tuple(dataset for dataset, allowed in pairs if allowed)
        self.is_whole = all(readable)
        self._by_name = {
            name: dataset
            for dataset in self.datasets
            for name in (dataset.partition, dataset.sql_name)
        }
        hidden = (dataset for dataset, allowed in pairs if not allowed)
        self._hidden = frozenset(
            name for dataset in hidden for name in (dataset.partition, dataset.sql_name)
        )

    def find(self, name: str) -> Dataset | None:
        """The dataset of this partition or SQL name; None also for one that can't be seen."""
        return self._by_name.get(name)

    def hint(self, name: str, *, otherwise: str) -> str:
        """Which of the visible names may have been meant."""
        sql_names = [dataset.sql_name for dataset in self.datasets]
        return did_you_mean(name.replace("/", "_")[:128], sql_names, otherwise=otherwise)

    def text(self, text: str, *, in_sql: bool = False) -> str:
        """A text of the catalogue without the names of datasets that can't be seen.

        With `in_sql`, those that can be seen are called as SQL calls them.
        """
        if self.is_whole and not in_sql:
            return text

        def told(found: re.Match[str]) -> str:
            if found[1] in self._hidden:
                return _UNNAMED
            dataset = self._by_name.get(found[1]) if in_sql else None
            return found[0] if dataset is None else found[0].replace(found[1], dataset.sql_name)

        return _NAME.sub(told, text)


class Visibility:
    """Makes the views of a catalogue; callers with the same datasets share one."""

    def __init__(self, catalog: Catalog) -> None:
        self._datasets = tuple(catalog)
        self._catalog = catalog
        self._of = lru_cache(maxsize=256)(self._view)

    def of(self, may_read: Callable[[Dataset], bool]) -> VisibleCatalog:
        """What a caller sees who may read these."""
        return self._of(tuple(map(may_read, self._datasets)))

    def _view(self, readable: tuple[bool, ...]) -> VisibleCatalog:
        return VisibleCatalog(self._catalog, readable)

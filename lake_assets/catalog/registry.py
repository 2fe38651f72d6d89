"""All datasets as one catalogue, and the rules that hold between them.

Belongs here: collecting declarations, refusing what can't stand together, looking things up.
Does not belong here: a rule about one dataset alone (`model`), any single declaration.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType

from lake_assets.catalog.model import CatalogError, Dataset, Task

DATASETS_PACKAGE = "lake_assets.datasets"


class Catalog:
    """An immutable set of datasets and trigger tasks, looked up by any of their names.

    Raises:
        CatalogError: two datasets share a partition, SQL name or task, or an upstream is unknown
            or part of a cycle, or a reference leads nowhere.
    """

    def __init__(self, datasets: Iterable[Dataset], tasks: Iterable[Task] = ()) -> None:
        self._by_partition: dict[str, Dataset] = {}
        self._by_sql_name: dict[str, Dataset] = {}
        self._tasks: dict[str, Task] = {}
        for dataset in datasets:
            if dataset.partition in self._by_partition:
                raise CatalogError(f"dataset {dataset.partition} is declared twice")
            if dataset.sql_name in self._by_sql_name:
                other = self._by_sql_name[dataset.sql_name].partition
                raise CatalogError(
                    f"datasets {other} and {dataset.partition} share the SQL name "
                    f"`{dataset.sql_name}`"
                )
            self._by_partition[dataset.partition] = dataset
            self._by_sql_name[dataset.sql_name] = dataset
            for task in _tasks_of(dataset):
                self._add_task(task)
        for task in tasks:
            self._add_task(task)
        for dataset in self:
            self._refuse_bad_upstreams(dataset, ())
            self._refuse_bad_references(dataset)

    def _refuse_bad_references(self, dataset: Dataset) -> None:
        for reference in dataset.references:
            other = self._by_partition.get(reference.partition)
            if other is None or reference.to_column not in other.column_names:
                raise CatalogError(
                    f"dataset {dataset.partition}: `{reference.column}` refers to "
                    f"`{reference.partition}.{reference.to_column}`, which is not declared"
                )

    def _add_task(self, task: Task) -> None:
        if task.name in self._tasks:
            raise CatalogError(f"task {task.name} is declared twice")
        self._tasks[task.name] = task

    def _refuse_bad_upstreams(self, dataset: Dataset, path: tuple[str, ...]) -> None:
        if dataset.partition in path:
            raise CatalogError(f"dataset {dataset.partition} is upstream of itself")
        for upstream in dataset.upstreams:
            if upstream not in self._by_partition:
                raise CatalogError(f"dataset {dataset.partition}: unknown upstream `{upstream}`")
            self._refuse_bad_upstreams(self._by_partition[upstream], (*path, dataset.partition))

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._by_partition.values())

    def __len__(self) -> int:
        return len(self._by_partition)

    def __contains__(self, partition: object) -> bool:
        return partition in self._by_partition

    def __getitem__(self, partition: str) -> Dataset:
        return self._by_partition[partition]

    @property
    def by_sql_name(self) -> Mapping[str, Dataset]:
        """Datasets by their table name in SQL."""
        return MappingProxyType(self._by_sql_name)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Trigger tasks by name."""
        return MappingProxyType(self._tasks)

    @property
    def groups(self) -> Mapping[str, tuple[Dataset, ...]]:
        """Datasets by group, both in the order of declaration."""
        groups: dict[str, list[Dataset]] = {}
        for dataset in self:
            groups.setdefault(dataset.group, []).append(dataset)
        return MappingProxyType({name: tuple(members) for name, members in groups.items()})


def _tasks_of(dataset: Dataset) -> Iterator[Task]:
    for index, name in enumerate(dataset.tasks):
        backfill = index > 0
        verb = "Backfill" if backfill else "Write"
        yield Task(
            name=name,
            partition=dataset.partition,
            description=f"{verb} {dataset.partition}: {dataset.summary}",
            backfill=backfill,
        )


@cache
def load_catalog(package: str = DATASETS_PACKAGE) -> Catalog:
    """The catalogue of every module in `package`: its `DATASETS`, and `TASKS` where it has any.

    Datasets come in the order of the package's `GROUPS`, then as declared.

    Raises:
        CatalogError: a module has neither, or the declarations can't stand together.
    """
    datasets: list[Dataset] = []
    tasks: list[Task] = []
    root = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package}.{info.name}")
        found: tuple[Dataset, ...] | None = getattr(module, "DATASETS", None)
        maintenance: tuple[Task, ...] | None = getattr(module, "TASKS", None)
        if found is None and maintenance is None:
            raise CatalogError(f"{module.__name__} declares neither DATASETS nor TASKS")
        datasets.extend(found or ())
        tasks.extend(maintenance or ())
    order: tuple[str, ...] = getattr(root, "GROUPS", ())
    datasets.sort(
        key=lambda dataset: order.index(dataset.group) if dataset.group in order else len(order)
    )
    return Catalog(datasets, tasks)

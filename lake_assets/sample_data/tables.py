"""Which tables the sample fills, and how their rows refer to each other.

Belongs here: reading relations out of the catalogue: who owns an id, who takes it from whom.
Does not belong here: rows, SQL. Nothing here names a dataset: hints are in `profiles`.

A dataset owns the id that is its whole key. Another dataset with a column of that name refers
to it, and its rows then share the owner's agent, user, organisation and so on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lake_assets.catalog import Catalog, Column, ColumnType, Dataset, Kind, PostgresSource
from lake_assets.sample_data.profiles import DEFAULT_PROFILE, PROFILES, Profile

_ENTITIES = frozenset({"id", "agent_id", "user_id", "org_id", "project_id"})
"""Ids of things of the `world`: they are the same everywhere, whoever has them as key."""

_SHARED_WORDS = frozenset({"model", "provider", "currency", "language", "mcp_server"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`column` holds what a row of the dataset `owner` has in `to_column`."""

    column: str
    owner: str
    to_column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the platform database. `links` has the main relative first."""

    dataset: Dataset
    source: PostgresSource
    profile: Profile
    links: tuple[Link, ...] = ()

    @property
    def partition(self) -> str:
        """The name of the dataset whose rows it holds."""
        return self.dataset.partition

    @property
    def is_snapshot(self) -> bool:
        """Whether it holds a state and not a stream of rows."""
        return self.dataset.kind is Kind.SNAPSHOT

    @property
    def own_id(self) -> str | None:
        """The column that identifies a row by itself, where there is one."""
        return own_id(self.dataset)

    def has(self, *names: str) -> bool:
        """Whether it has all of these columns."""
        return all(any(column.name == name for column in self.dataset.columns) for name in names)


def own_id(dataset: Dataset) -> str | None:
    """The one text column that is the whole key of a dataset and names nothing else."""
    if len(dataset.key) != 1:
        return None
    name = dataset.key[0]
    column = dataset.column(name)
    is_text = column.type is ColumnType.STRING and not column.values
    return name if is_text and name not in _ENTITIES - {"id"} else None


def may_inherit(name: str) -> bool:
    """Whether a row takes this column from the row it refers to, where both have it."""
    return name != "id" and (name.endswith(("_id", "_name")) or name in _SHARED_WORDS)


def sample_tables(catalog: Catalog) -> Mapping[str, Table]:
    """The tables behind every dataset that is exported from Postgres, by partition."""
    sources: dict[PostgresSource, Dataset] = {}
    for dataset in catalog:
        if dataset.kind in {Kind.EVENT, Kind.SNAPSHOT} and isinstance(
            dataset.source, PostgresSource
        ):
            known = sources.get(dataset.source)
            sources[dataset.source] = _merged(known, dataset) if known else dataset
    tables = {
        dataset.partition: Table(
            dataset=dataset,
            source=source,
            profile=PROFILES.get(dataset.partition, DEFAULT_PROFILE),
        )
        for source, dataset in sources.items()
    }
    return _linked(tables)


def _merged(first: Dataset, second: Dataset) -> Dataset:
    """Two datasets over one table: the first one, with the columns that only the second names."""
    known = {column.name for column in first.columns}
    needed = {column.name for column in second.columns if column.required} | set(second.key)
    shared = tuple(
        replace(column, required=column.required or column.name in needed)
        for column in first.columns
    )
    further = tuple(column for column in second.columns if column.name not in known)
    return replace(first, columns=shared + further)


def _linked(tables: Mapping[str, Table]) -> Mapping[str, Table]:
    owners: dict[str, list[Table]] = {}
    for table in tables.values():
        if table.own_id and table.own_id != "id":
            owners.setdefault(table.own_id, []).append(table)
    wanted = {
        partition: [
            link
            for column in table.dataset.columns
            if column.name != table.own_id
            if (link := _link(table, column, tables, owners.get(column.name, ()))) is not None
        ]
        for partition, table in tables.items()
    }
    links: dict[str, list[Link]] = {partition: [] for partition in tables}
    # By name, so that which link of a circle is left out doesn't hang on the catalogue's order.
    for partition in sorted(wanted):
        for link in wanted[partition]:
            if not _reaches(links, link.owner, partition):
                links[partition].append(link)
    return {
        partition: replace(
            table,
            links=tuple(sorted(links[partition], key=lambda link: -_depth(links, link.owner))),
        )
        for partition, table in tables.items()
    }


def _link(
    table: Table, column: Column, tables: Mapping[str, Table], owners: Iterable[Table]
) -> Link | None:
    """What a column refers to: what its dataset declares, else the owner of the id."""
    for reference in table.dataset.references:
        if reference.column == column.name:
            if reference.partition not in tables or reference.partition == table.partition:
                return None
            return Link(
                column=column.name, owner=reference.partition, to_column=reference.to_column
            )
    is_free = column.type is ColumnType.STRING and not column.values
    owner = _owner(table, column.name, owners) if is_free else None
    if owner is None:
        return None
    return Link(column=column.name, owner=owner.partition, to_column=column.name)


def _owner(table: Table, column: str, candidates: Iterable[Table]) -> Table | None:
    known = {candidate.partition: candidate for candidate in candidates}
    if column in table.profile.relatives:
        return known.get(table.profile.relatives[column])
    if len(known) == 1:
        return next(iter(known.values()))
    # Several tables call an id theirs: the one whose name begins like ours is meant, if one is.
    likeness = {name: _likeness(table, candidate) for name, candidate in known.items()}
    best = max(likeness.values(), default=0)
    closest = [name for name, words in likeness.items() if words == best]
    return known[closest[0]] if best > 0 and len(closest) == 1 else None


def _likeness(first: Table, second: Table) -> int:
    words = zip(first.source.table.split("_"), second.source.table.split("_"), strict=False)
    count = 0
    for one, other in words:
        if one != other:
            break
        count += 1
    return count


def _reaches(links: Mapping[str, list[Link]], start: str, goal: str) -> bool:
    return start == goal or any(_reaches(links, link.owner, goal) for link in links[start])


def _depth(links: Mapping[str, list[Link]], partition: str) -> int:
    return 1 + max((_depth(links, link.owner) for link in links[partition]), default=0)

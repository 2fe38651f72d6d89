"""Columns of a query as a door can carry them, by statements of the engine itself.

Belongs here: which projection a type needs at a door, and restoring kept rows.
Does not belong here: the table of types (`query.value_types`), writing files.

A value that a door's type can't hold makes the engine raise `BEYOND` with the column's place: the
query is read again with that column as text.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import duckdb

from lake_api.query.value_types import (
    MAX_TYPE_DEPTH,
    MAX_TYPE_PARTS,
    NESTED,
    SCALARS,
    TUPLE_ITEM,
    Door,
    Fit,
)
from lake_api.query.worker.views import quoted_name, quoted_text

_BEYOND = re.compile(r"(?<!')lake value of column (\d+) is beyond its type")
_MESSAGE = "lake value of column {} is beyond its type"
_VALUE, _PLACE = "\0", "\1"
_NESTED_AS_JSON = frozenset({Door.AVRO})
_TEXT_KEYS = frozenset({Door.ROWS, Door.LINES})
_KEPT_AS_TEXT = frozenset({"VARIANT", "TYPE"})
"""Types whose kept values are text (a variant's is JSON), which no cast turns back."""


class Unsupported(Exception):
    """A column has a type that no door can carry; `reason` is for the caller."""

    def __init__(self, column: str, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of the engine, with the types in it."""

    name: str
    sql: str
    parts: tuple[tuple[str, "_Kind"], ...] = ()


class _Unknown(Exception):
    pass


@dataclass(slots=True)
class _Reader:
    """Reads types, within bounds."""

    left: int = MAX_TYPE_PARTS

    def read(self, kind: Any, depth: int = 0) -> _Kind:
        self.left -= 1
        if depth > MAX_TYPE_DEPTH:
            raise _Unknown(f"is nested more than {MAX_TYPE_DEPTH} types deep")
        if self.left < 0:
            raise _Unknown(f"has more than {MAX_TYPE_PARTS} parts")
        sql, name = str(kind), str(kind.id).upper()
        if sql == "JSON":
            name = "JSON"
        if name in SCALARS:
            return _Kind(name, sql)
        if name not in NESTED:
            raise _Unknown("has a type that can't be answered")
        children: Sequence[tuple[str, Any]] = kind.children
        parts = [
            (child_name, self.read(child, depth + 1))
            for child_name, child in children
            # Arrays have their size among their children, unions the type of their tag.
            if hasattr(child, "id")
        ]
        return _Kind(name, sql, tuple(parts[1:] if name == "UNION" else parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """What each column becomes; `templates` are None where it stays as it is."""

    templates: tuple[str | None, ...]

    @property
    def is_needed(self) -> bool:
        """Whether any column changes."""
        return any(template is not None for template in self.templates)

    def apply(self, relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The relation with its columns as the door has them."""
        if not self.is_needed:
            return relation
        return relation.project(
            ", ".join(
                f"#{place}" if template is None else _at(template, place)
                for place, template in enumerate(self.templates, start=1)
            )
        )


def _at(template: str, place: int) -> str:
    """The template for a column; its name also becomes that of a map's values in Arrow."""
    filled = template.replace(_VALUE, f"#{place}").replace(_PLACE, str(place - 1))
    return f"{filled} AS c{place - 1}"


def lowered(
    columns: Sequence[str],
    types: Sequence[Any],
    door: Door,
    *,
    text_columns: Collection[int] = (),
    exact: bool = False,
) -> Lowered:
    """What the columns need at a door.

    Args:
        columns: Their names.
        types: Their types, as the engine's objects.
        door: Where the values go.
        text_columns: Columns with values that the door's own types don't hold.
        exact: Python's ambiguous values (infinite dates) become text, too.

    Raises:
        Unsupported: a type is not in the table, or too large.
    """
    return Lowered(
        templates=tuple(
            _template(name, kind, door, as_text=place in text_columns, exact=exact)
            for place, (name, kind) in enumerate(zip(columns, types, strict=True))
        )
    )


_TEMPLATES: dict[tuple[str, Door, bool, bool], str | None] = {}
_MAX_TEMPLATES = 1_000


def _template(column: str, kind: Any, door: Door, *, as_text: bool, exact: bool) -> str | None:
    sql = str(kind)
    key = (sql, door, as_text, exact)
    if key not in _TEMPLATES:
        try:
            read = _Reader().read(kind)
        except _Unknown as unknown:
            raise Unsupported(column, sql, str(unknown)) from None
        if len(_TEMPLATES) >= _MAX_TEMPLATES:
            _TEMPLATES.clear()
        _TEMPLATES[key] = _Builder(door, as_text=as_text, exact=exact).column(read)
    return _TEMPLATES[key]


def restored(
    relation: duckdb.DuckDBPyRelation, column_types: Sequence[str]
) -> duckdb.DuckDBPyRelation:
    """Kept rows with the types that their query gave them."""
    selected: list[str] = []
    for place, (kind, known) in enumerate(zip(relation.types, column_types, strict=True), start=1):
        is_same = str(kind) == known or known in {*_KEPT_AS_TEXT, '"NULL"'}
        target = known if is_same else _restorable(relation, known)
        selected.append(f"#{place}" if is_same else f"CAST(#{place} AS {target})")
    if all(one.startswith("#") for one in selected):
        return relation
    return relation.project(", ".join(selected))


def _restorable(relation: duckdb.DuckDBPyRelation, known: str) -> str:
    """The type with text in the place of types that no cast gives back."""
    if not any(name in known for name in _KEPT_AS_TEXT):
        return known
    [kind] = relation.project(f"CAST(NULL AS {known}) AS v").types
    return _with_texts(_Reader().read(kind))


def _with_texts(kind: _Kind) -> str:
    parts = [(quoted_name(name), _with_texts(part)) for name, part in kind.parts]
    match kind.name:
        case "LIST":
            return f"{parts[0][1]}[]"
        case "ARRAY":
            return f"{parts[0][1]}{kind.sql[kind.sql.rindex('[') :]}"
        case "MAP" | "TUPLE":
            return f"{kind.name}({', '.join(part for _, part in parts)})"
        case "STRUCT" | "UNION" if parts:
            return f"{kind.name}({', '.join(' '.join(part) for part in parts)})"
        case _:
            return "VARCHAR" if kind.name in _KEPT_AS_TEXT else kind.sql


def text_warnings(
    columns: Sequence[str], text_columns: Collection[int], form: str
) -> tuple[str, ...]:
    """What the caller is told of columns that are text because of single values."""
    return tuple(
        f"column `{columns[place]}` has values that {form} has no type for (infinite, at 24:00, or "
        "of too many digits): all of its values are given as text"
        for place in sorted(text_columns)
    )


def beyond(error: BaseException) -> int | None:
    """The place of the column whose value is beyond the door's type, if that is the error."""
    found = _BEYOND.search(str(error))
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class _Piece:
    """An expression, and the type that it has."""

    sql: str
    type: str


class _Builder:
    """Builds the expression of a column."""

    def __init__(self, door: Door, *, as_text: bool, exact: bool) -> None:
        self._door = door
        self._as_text = as_text
        self._exact = exact
        self._names = 0

    def column(self, kind: _Kind) -> str | None:
        if self._door in _NESTED_AS_JSON and kind.name in NESTED:
            return _Builder(Door.LINES, as_text=False, exact=False).column(kind)
        built = self._built(kind, _VALUE, top=True)
        return None if built.sql == _VALUE else built.sql

    def _built(self, kind: _Kind, value: str, *, top: bool = False) -> _Piece:
        if kind.name in SCALARS:
            return self._scalar(kind, value, top=top)
        if self._door is Door.PARQUET and not _is_writable(kind):
            return _as_text(value)
        if not self._changes(kind):
            return _Piece(value, kind.sql)
        build: dict[str, Callable[[_Kind, str], _Piece]] = {
            "LIST": self._list,
            "ARRAY": self._array,
            "STRUCT": self._struct,
            "TUPLE": self._tuple,
            "MAP": self._map,
            "UNION": self._tagged if self._door is Door.PARQUET else self._union,
        }
        return build[kind.name](kind, value)

    def _scalar(self, kind: _Kind, value: str, *, top: bool) -> _Piece:
        declared = SCALARS[kind.name]
        fit = declared.fit(self._door)
        if fit is Fit.CHECKED and not self._as_text:
            within = declared.within.replace("{x}", value)
            message = f"error('{_MESSAGE.format(_PLACE)}')"
            checked = f"CASE WHEN {value} IS NULL OR {within} THEN {value} ELSE {message} END"
            return _Piece(checked, kind.sql)
        is_ambiguous = self._exact and declared.beyond == "infinite"
        if fit is Fit.EXACT or (fit is Fit.TOP_LEVEL and top and not is_ambiguous):
            return _Piece(value, kind.sql)
        if self._door is Door.KEPT and kind.name != "VARIANT":
            # What the engine itself reads back.
            return _as_text(value)
        text = declared.text.replace("{x}", value)
        if kind.name == "VARIANT" and top:
            return _Piece(f"CAST({text} AS JSON)", "JSON")
        return _Piece(f"({text})", "VARCHAR")

    def _changes(self, kind: _Kind) -> bool:
        """Whether any part of a nested type changes."""
        if (self._door, kind.name) in {(Door.PARQUET, "UNION"), (Door.LINES, "TUPLE")}:
            return True
        if kind.name == "MAP" and self._key(kind.parts[0][1], _VALUE).sql != _VALUE:
            return True
        return any(self._built(part, _VALUE).sql != _VALUE for _, part in kind.parts)

    def _key(self, kind: _Kind, value: str) -> _Piece:
        """A map's key; JSON has texts only."""
        if self._door in _TEXT_KEYS and (kind.name in NESTED or kind.name == "BOOLEAN"):
            # A kept result has texts in the place of some types: its keys read the same.
            return _as_text(_AsKept(Door.KEPT, as_text=False, exact=False).key_part(kind, value))
        return self._built(kind, value)

    def _name(self) -> str:
        self._names += 1
        return f"lake_e{self._names}"

    def _list(self, kind: _Kind, value: str) -> _Piece:
        name = self._name()
        item = self._built(kind.parts[0][1], name)
        return _Piece(f"list_transform({value}, lambda {name}: {item.sql})", f"{item.type}[]")

    def _array(self, kind: _Kind, value: str) -> _Piece:
        # As a list, whose items may change their type.
        item = kind.parts[0][1]
        items = self._list(kind, f"CAST({value} AS {item.sql}[])")
        if items.type == f"{item.sql}[]":
            return _Piece(f"CAST({items.sql} AS {kind.sql})", kind.sql)
        return items

    def _struct(self, kind: _Kind, value: str) -> _Piece:
        fields = {
            name: self._built(part, f"struct_extract({value}, {quoted_text(name)})")
            for name, part in kind.parts
        }
        return _or_null(value, fields)

    def _tuple(self, kind: _Kind, value: str) -> _Piece:
        fields = [
            self._built(part, f"struct_extract({value}, {place})")
            for place, (_, part) in enumerate(kind.parts, start=1)
        ]
        if self._door is Door.LINES:
            # Arrow has no tuples: the names tell that it is one.
            return _or_null(
                value, {f"{TUPLE_ITEM}{place}": one for place, one in enumerate(fields, start=1)}
            )
        made = ", ".join(field.sql for field in fields)
        kinds = ", ".join(field.type for field in fields)
        return _Piece(
            f"CASE WHEN {value} IS NULL THEN NULL ELSE row({made}) END", f"TUPLE({kinds})"
        )

    def _map(self, kind: _Kind, value: str) -> _Piece:
        name = self._name()
        key = self._key(kind.parts[0][1], f"struct_extract({name}, 'key')")
        item = self._built(kind.parts[1][1], f"struct_extract({name}, 'value')")
        entry = f"struct_pack(k := {key.sql}, v := {item.sql})"
        return _Piece(
            f"map_from_entries(list_transform(map_entries({value}), lambda {name}: {entry}))",
            f"MAP({key.type}, {item.type})",
        )

    def _union(self, kind: _Kind, value: str) -> _Piece:
        members = {
            name: self._built(part, f"union_extract({value}, {quoted_text(name)})")
            for name, part in kind.parts
        }
        whole = f"UNION({_listed(members)})"
        cases = " ".join(
            f"WHEN {quoted_text(name)} THEN "
            f"CAST(union_value({quoted_name(name)} := {member.sql}) AS {whole})"
            for name, member in members.items()
        )
        return _Piece(f"CASE CAST(union_tag({value}) AS VARCHAR) {cases} END", whole)

    def _tagged(self, kind: _Kind, value: str) -> _Piece:
        taken = {name.lower() for name, _ in kind.parts}
        tag = next(one for one in _tags() if one not in taken)
        fields = {tag: _as_text(f"union_tag({value})")}
        for name, part in kind.parts:
            fields[name] = self._built(part, f"union_extract({value}, {quoted_text(name)})")
        return _or_null(value, fields)


class _AsKept(_Builder):
    """Builds what a kept result has of types that no cast gives back, and leaves all others."""

    def key_part(self, kind: _Kind, value: str) -> str:
        return self._built(kind, value).sql

    def _scalar(self, kind: _Kind, value: str, *, top: bool) -> _Piece:
        if kind.name not in _KEPT_AS_TEXT:
            return _Piece(value, kind.sql)
        return super()._scalar(kind, value, top=top)


def _is_writable(kind: _Kind) -> bool:
    """Whether Parquet has a form of it."""
    if kind.name == "STRUCT" and not kind.parts:
        return False
    return not (kind.name == "MAP" and kind.parts[0][1].name == "NULL")


def _as_text(value: str) -> _Piece:
    return _Piece(f"CAST({value} AS VARCHAR)", "VARCHAR")


def _or_null(value: str, fields: Mapping[str, _Piece]) -> _Piece:
    """A struct of the fields where the value is one."""
    made = ", ".join(f"{quoted_name(name)} := {field.sql}" for name, field in fields.items())
    return _Piece(
        f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({made}) END",
        f"STRUCT({_listed(fields)})",
    )


def _listed(fields: Mapping[str, _Piece]) -> str:
    return ", ".join(f"{quoted_name(name)} {field.type}" for name, field in fields.items())


def _tags() -> Iterator[str]:
    yield "tag"
    for number in count(2):
        yield f"tag_{number}"

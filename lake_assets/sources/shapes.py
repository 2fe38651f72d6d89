"""Comparing a JSON document with the shape that a collector expects of it, field by field.

Belongs here: what is missing, of another type, or not read. Does not belong here: asking for the
document (`check`), reading it for rows (`answers`).

Only the first items of a list are looked at: drift is in all of them, or no drift.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

_ITEMS = 50

Kind = Literal["missing", "retyped", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not as expected; `field` is its path, such as `items[].id`."""

    kind: Kind
    field: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.said}" if self.said else self.field


def differences(value: object, expected: Any, *, path: str = "") -> Iterator[Difference]:
    """Where a decoded document differs from the shape; a field of many items may come often."""
    shape = _chosen(value, expected)
    kind = get_origin(shape) or shape
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _fields(value, shape, path)
    elif kind is list or kind is tuple:
        yield from _items(value, get_args(shape), path)
    elif kind is dict or kind is Mapping:
        yield from _values(value, get_args(shape), path)
    else:
        yield from _leaf(value, expected, path)


def _chosen(value: object, expected: Any) -> Any:
    """The member of a union that this value can be meant for: null has no fields to compare."""
    if get_origin(expected) is Annotated:
        return _chosen(value, get_args(expected)[0])
    if get_origin(expected) not in {Union, types.UnionType}:
        return expected
    members = [member for member in get_args(expected) if member not in {types.NoneType, Any}]
    return members[0] if value is not None and len(members) == 1 else object


def _fields(value: object, shape: Any, path: str) -> Iterator[Difference]:
    config: Any = (get_origin(shape) or shape).__struct_config__
    if config.array_like or config.tag is not None:
        yield from _leaf(value, shape, path)
        return
    if not isinstance(value, dict):
        yield _retyped(path, "object", value)
        return
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for name, field in known.items():
        at = f"{path}.{name}" if path else name
        if name in value:
            yield from differences(value[name], field.type, path=at)
        elif field.required:
            yield Difference(kind="missing", field=at)
    for name in value.keys() - known.keys():
        yield Difference(kind="new", field=f"{path}.{name}" if path else str(name))


def _items(value: object, members: tuple[Any, ...], path: str) -> Iterator[Difference]:
    if not isinstance(value, list):
        yield _retyped(path, "array", value)
    elif len(members) == 1 or (len(members) == 2 and members[1] is Ellipsis):
        for item in value[:_ITEMS]:
            yield from differences(item, members[0], path=f"{path}[]")
    else:
        for place, member in enumerate(members[: len(value)]):
            yield from differences(value[place], member, path=f"{path}[{place}]")


def _values(value: object, members: tuple[Any, ...], path: str) -> Iterator[Difference]:
    if not isinstance(value, dict):
        yield _retyped(path, "object", value)
    elif len(members) == 2:
        for item in list(value.values())[:_ITEMS]:
            yield from differences(item, members[1], path=f"{path}.*" if path else "*")


def _leaf(value: object, expected: Any, path: str) -> Iterator[Difference]:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=_closed(expected))
    except msgspec.ValidationError as error:
        reason = str(error).partition(" - at `$")[0]
        yield Difference(kind="retyped", field=path or "the answer", said=reason)


def _closed(expected: Any) -> Any:
    """The type without what `Loosely` leaves open: what the source is expected to send."""
    if get_origin(expected) not in {Union, types.UnionType} or Any not in get_args(expected):
        return expected
    return Union[tuple(member for member in get_args(expected) if member is not Any)]  # noqa: UP007


def _retyped(path: str, expected: str, value: object) -> Difference:
    # As msgspec words it. The value is not shown: it may be somebody's.
    said = f"Expected `{expected}`, got `{_NAMES.get(type(value), 'null')}`"
    return Difference(kind="retyped", field=path or "the answer", said=said)


_NAMES: Mapping[type, str] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    list: "array",
    dict: "object",
}

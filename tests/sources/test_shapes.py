from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec
import pytest

from lake_assets.sources.shapes import differences

Item = TypeVar("Item")


class Thing(msgspec.Struct, rename="camel"):
    the_id: str
    made: date
    cost: Decimal | None = None
    size: int | str = 0
    tags: list[str] = []
    named: dict[str, int] = {}


class Page(msgspec.Struct, Generic[Item]):
    items: list[Item]
    following: str | None = None


GOOD = {"theId": "1", "made": "2026-11-23", "cost": "1.50", "size": "L", "named": {"a": 1}}


def found(document, expected=Page[Thing]):
    return sorted({(each.kind, str(each)) for each in differences(document, expected)})


def test_a_document_as_expected_differs_in_nothing():
    assert found({"items": [GOOD, GOOD | {"cost": None}], "following": None}) == []


@pytest.mark.parametrize(
    ("change", "kind", "field"),
    [
        ({"theId": 7}, "retyped", "items[].theId"),
        ({"made": "soon"}, "retyped", "items[].made"),
        ({"cost": {}}, "retyped", "items[].cost"),
        ({"size": 1.5}, "retyped", "items[].size"),
        ({"tags": "a"}, "retyped", "items[].tags"),
        ({"tags": [1]}, "retyped", "items[].tags[]"),
        ({"named": {"a": "b"}}, "retyped", "items[].named.*"),
        ({"named": []}, "retyped", "items[].named"),
        ({"extra": 1}, "new", "items[].extra"),
    ],
)
def test_each_field_that_differs_is_named(change, kind, field):
    (difference,) = differences({"items": [GOOD, GOOD | change]}, Page[Thing])

    assert (difference.kind, difference.field) == (kind, field)


def test_all_that_is_missing_is_told_at_once():
    assert found({"items": [{}]}) == [("missing", "items[].made"), ("missing", "items[].theId")]
    assert found({}) == [("missing", "items")]


def test_an_answer_of_another_form_is_retyped_as_a_whole():
    assert found([]) == [("retyped", "the answer: Expected `object`, got `array`")]
    assert found({"items": None}) == [("retyped", "items: Expected `array`, got `null`")]

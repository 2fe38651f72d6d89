import pytest

from lake_assets.catalog import CatalogError, ColumnType
from lake_assets.catalog.declare import parse_columns


def test_a_column_table_says_name_type_need_sentence_and_values():
    columns = parse_columns(
        """
        run_id   string!   One id per run.
        status   string    How it ended. {succeeded|failed}
        cost_usd decimal   Cost in US dollars.
        """
    )

    assert [column.name for column in columns] == ["run_id", "status", "cost_usd"]
    assert [column.required for column in columns] == [True, False, False]
    assert columns[1].values == ("succeeded", "failed")
    assert columns[1].description == "How it ended."
    assert columns[2].type is ColumnType.DECIMAL


def test_a_shared_column_takes_its_common_sentence():
    (column,) = parse_columns("agent_id string")

    assert column.description


def test_an_unknown_type_is_refused_with_the_known_ones():
    with pytest.raises(CatalogError, match=r"`amount`: unknown type `money`; use one of string"):
        parse_columns("amount money  An amount.")

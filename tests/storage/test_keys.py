import pyarrow as pa

from lake_assets.storage.keys import KeyCounter


def count(key, *batches):
    counter = KeyCounter(key)
    for batch in batches:
        counter.add(pa.RecordBatch.from_pydict(batch))
    return counter.duplicates()


def test_repeats_are_counted_within_and_across_batches():
    assert count(("a",), {"a": [1, 2, 2]}, {"a": [3, 1]}) == 2


def test_a_key_of_several_columns_repeats_only_as_a_whole():
    assert count(("a", "b"), {"a": [1, 1, 1], "b": ["x", "y", "x"]}) == 1


def test_without_key_columns_nothing_is_counted():
    assert count((), {"a": [1, 1]}) == 0

import threading

import pytest

from lake_assets.sources.read_ahead import read_ahead


def test_items_come_through_in_order():
    assert list(read_ahead(range(100))) == list(range(100))


def test_an_error_comes_where_its_item_would_have():
    def items():
        yield 1
        raise ConnectionError("broke off")

    ahead = read_ahead(items())

    assert next(ahead) == 1
    with pytest.raises(ConnectionError, match="broke off"):
        next(ahead)


def test_the_producer_is_never_more_than_the_depth_ahead():
    taken: list[int] = []
    reached = threading.Event()

    def items():
        for number in range(10):
            taken.append(number)
            if number == 4:
                reached.set()
            yield number

    ahead = read_ahead(items(), depth=3)
    assert next(ahead) == 0
    assert reached.wait(timeout=5)
    # One handed out, three in the queue, one in hand.
    assert len(taken) == 5
    ahead.close()


def test_a_consumer_that_stops_early_stops_the_thread():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    source = items()
    ahead = read_ahead(source)
    next(ahead)
    ahead.close()
    source.close()

    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]

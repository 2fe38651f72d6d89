"""A collector reads as documentation of its upstream, in one short module."""

import importlib
import inspect

import pytest

from lake_assets.catalog import ExternalSource, load_catalog

DECLARED = {
    dataset.source.collect.partition(":")[0]
    for dataset in load_catalog()
    if isinstance(dataset.source, ExternalSource)
}
MOST_LINES = 120


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_a_module_with_a_collector_is_short_and_tells_what_a_day_is(name):
    module = importlib.import_module(name)

    assert len(inspect.getsource(module).splitlines()) <= MOST_LINES
    assert "**A day" in (module.__doc__ or "")

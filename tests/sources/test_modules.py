"""A collector reads as documentation of its upstream, in one short module."""

import importlib
import inspect

import pytest

from lake_assets.catalog import ExternalSource, load_catalog
from lake_assets.sources.collect import collector_of
from lake_assets.sources.config import upstream_of

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


def test_every_declared_source_is_found_among_the_services():
    """By that, commands know which datasets are not configured without loading a collector."""
    outside = [one for one in load_catalog() if isinstance(one.source, ExternalSource)]
    assert [upstream_of(one.source.upstream) for one in outside] == [
        collector_of(one).upstream for one in outside
    ]
    assert upstream_of("no-such-feed") is None

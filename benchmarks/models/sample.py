"""The sample data's rows as the lake would have them, without a database.

Belongs here: tables of the inputs of the predictions, with the partition's day.
Does not belong here: what is done with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pyarrow as pa

from lake_assets.catalog import load_catalog
from lake_assets.models.anomaly_measures import CALLS, REQUESTS, RUNS
from lake_assets.sample_data.frame import Frames
from lake_assets.sample_data.load import batch
from lake_assets.sample_data.resolve import make
from lake_assets.sample_data.spec import SampleSpec
from lake_assets.sample_data.tables import sample_tables

INPUTS = (RUNS, CALLS, REQUESTS)


def tables(spec: SampleSpec, names: tuple[str, ...] = INPUTS) -> dict[str, pa.Table]:
    """Every row of these datasets in the sample."""
    every = sample_tables(load_catalog())
    frames = Frames(every, spec, make)
    return {name: pa.concat_tables(_days(frames, every[name])) for name in names}


def _days(frames: Frames, table) -> Iterator[pa.Table]:
    for day in frames.days(table):
        for part, rows in enumerate(frames.parts(table, day)):
            if rows:
                made = pa.Table.from_batches([batch(frames.frame(table, day, part))])
                dates = pa.array([day] * made.num_rows, pa.date32())
                yield made.append_column("date", dates)


@contextmanager
def nothing_planted() -> Iterator[None]:
    """Sample data made inside has no planted events: all of its days are ordinary."""

    def none(**_: object) -> Iterator[object]:
        return iter(())

    with (
        mock.patch("lake_assets.sample_data.frame.active", none),
        mock.patch("lake_assets.sample_data.rhythm.active", none),
    ):
        yield

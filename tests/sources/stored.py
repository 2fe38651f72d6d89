"""The objects that runs wrote, to the byte."""

import struct
from datetime import date

from lake_assets.catalog import data_key, load_catalog
from tests.sources.conftest import Collecting


def stored_bytes(lake: Collecting, day: date) -> bytes:
    """The object of a day, but for the footer, in which the id of the run is."""
    with lake.store.open(data_key(load_catalog()[lake.partition], day)) as file:
        data = file.read()
    (footer_bytes,) = struct.unpack("<I", data[-8:-4])
    return data[: -8 - footer_bytes]

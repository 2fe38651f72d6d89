"""What single datasets know better than the rules: optional, one function per column.

Belongs here: the table of all special columns.
Does not belong here: anything that a dataset needs in order to have rows at all (`rules`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lake_assets.catalog import Column
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.special import agents, agreeing, business, gateway, product
from lake_assets.sample_data.values import Values

SPECIAL: Mapping[tuple[str, str], Callable[[Frame, Column], Values]] = MappingProxyType(
    {
        (partition, column): make
        for module in (agents, agreeing, business, gateway, product)
        for partition, columns in module.SPECIAL.items()
        for column, make in columns.items()
    }
)

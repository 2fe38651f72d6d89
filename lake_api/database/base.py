"""What all tables have in common.

Belongs here: the declarative base and its metadata, with names for every constraint.
Does not belong here: a table.
"""

from advanced_alchemy.base import UUIDv7Base
from sqlalchemy import MetaData

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints have the same names on every engine, so that migrations can name them."""


class Table(UUIDv7Base):
    """A table whose rows have an id that sorts by the time they were made."""

    __abstract__ = True
    metadata = MetaData(naming_convention=NAMES)

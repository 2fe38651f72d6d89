"""How a declaration may change while its old days stay as they are.

A column may be added at any time: old days read as null. A column may not go, nor change its type,
since old and new days would no longer be one table: that is refused, with what to do instead.

Belongs here: comparing what is stored with what is declared.
Does not belong here: fitting new rows to the declaration (`conform`).
"""

from collections.abc import Sequence
from datetime import date

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, data_key, version_key
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.schema import ARROW_TYPES
from lake_assets.storage.store import LakeStore, VersionToken

ACCEPT_TAG = "lake/accept_schema_change"
"""A run with this tag set to `true` writes although a column went or changed its type."""


def refuse_retyped(
    dataset: Dataset, stored: pa.Schema, *, columns: Sequence[str], day: date
) -> None:
    """Refuse to read a day that has one of `columns` in another type than it is declared with.

    Raises:
        SchemaMismatch: it names the column, both types, and what to do.
    """
    for name in columns:
        if name not in stored.names:
            continue
        declared, found = ARROW_TYPES[dataset.column(name).type], stored.field(name).type
        if found != declared:
            raise SchemaMismatch(
                f"{dataset.partition}: column `{name}` is declared as {declared}, and {day} has it "
                f"as {found}; write that day again, or declare `{name}` as it was and the new type "
                "under another name"
            )


def refuse_incompatible(store: LakeStore, dataset: Dataset) -> None:
    """Refuse to write next to days whose columns went or changed their type.

    It looks at the day that was written last: all that is written follows the declaration of its
    time, so that day has the columns of the last one.

    Raises:
        SchemaMismatch: it names the columns, and what to do.
        StorageError: the store did not answer; a retry may help.
    """
    newest = _written_last(store, dataset)
    if newest is None:
        return
    day, stored = newest
    gone = [name for name in stored.names if name not in dataset.column_names]
    if gone:
        raise SchemaMismatch(
            f"{dataset.partition}: column `{gone[0]}` is in the lake ({day}) and no longer "
            "declared: days written now would lack it. Declare it again; where its source is gone "
            "it is written as null. To let it go, write every day again by runs with the tag "
            f"{ACCEPT_TAG}=true"
        )
    for column in dataset.columns:
        if column.name not in stored.names:
            continue
        declared, found = ARROW_TYPES[column.type], stored.field(column.name).type
        if found != declared:
            raise SchemaMismatch(
                f"{dataset.partition}: column `{column.name}` is declared as {declared}, and the "
                f"lake has it as {found} ({day}): one table can't have both. Declare it as it was "
                "and the new type under another name. To change it, write every day again by runs "
                f"with the tag {ACCEPT_TAG}=true"
            )


def _written_last(store: LakeStore, dataset: Dataset) -> tuple[date, pa.Schema] | None:
    try:
        with store.open(version_key(dataset)) as file:
            token = msgspec.json.decode(file.read(), type=VersionToken)
        if not token.days:
            return None
        with store.open(data_key(dataset, token.days[-1])) as file:
            return token.days[-1], pq.read_schema(file)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        # Someone else's token: what they wrote is not judged by our declarations.
        return None
    except pa.ArrowInvalid:
        # A damaged object keeps no other day from being written; its own is not replaced unasked.
        return None

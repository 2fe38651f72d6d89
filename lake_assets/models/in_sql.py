"""Running the SQL of a derivation on a DuckDB connection.

Belongs here: how inputs become tables, and what the SQL is told.
Does not belong here: opening connections (`lake_assets.orchestration`), any single SQL text.
"""

from datetime import date

import duckdb
import pyarrow as pa

from lake_assets.models.derivation import Derivation, Inputs


def run_sql(
    connection: duckdb.DuckDBPyConnection, derivation: Derivation, inputs: Inputs, *, day: date
) -> pa.Table:
    """The rows of `day`, as the derivation's SQL gives them.

    The connection should have one thread: sums of floating point numbers depend on their order.
    """
    connection.execute("SET TimeZone = 'UTC'")
    for partition, table in inputs.items():
        connection.register(partition.replace("/", "_"), table)
    try:
        found = connection.sql(
            derivation.sql, params={"day": day, "version": derivation.version}
        ).to_arrow_table()
    finally:
        for partition in inputs:
            connection.unregister(partition.replace("/", "_"))
    return found

"""How migrations reach the database: over the connection that `Database.open` gives them.

Two processes that start at the same time take turns: the second finds the tables made.
"""

from alembic import context
from sqlalchemy import text
from sqlalchemy.engine import Connection

from lake_api.database.base import Table

_LOCK = 5_207_164_101
"""Any number that nothing else locks."""

connection: Connection = context.config.attributes["connection"]
is_sqlite = connection.dialect.name == "sqlite"
if is_sqlite:
    # The driver begins a transaction at the first write only; migrations want to be alone before.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
else:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=is_sqlite,
    transactional_ddl=False,
)
context.run_migrations()
connection.commit()

"""Run by Alembic for each command: on the connection that migration.py hands over, or to print the SQL."""

from alembic import context

from waypost.log.tables import metadata

connection = context.config.attributes.get("connection")

if connection is None:
    context.configure(dialect_name=context.config.attributes["dialect"], target_metadata=metadata)
else:
    context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

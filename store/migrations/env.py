"""Alembic's entry: migrate on the connection the program hands over."""

from alembic import context

from store.schema.graduation import metadata  # the module that knows all tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()

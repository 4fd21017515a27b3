"""The one alembic environment for both kinds; `migrations/runner.py` hands it the connection."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # SQLite alters a table by copying it; PostgreSQL ignores this.
    render_as_batch=True,
    # True for both databases: the runner begins SQLite's transaction itself.
    transactional_ddl=True,
)

with context.begin_transaction():
    context.run_migrations()

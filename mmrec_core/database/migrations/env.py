"""Alembic's entry: it migrates over the connection that :mod:`mmrec_core.database.engine` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()

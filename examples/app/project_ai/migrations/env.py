"""Run by Alembic: the steps, on the connection and in the transaction that `project_ai.schema` has begun."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()

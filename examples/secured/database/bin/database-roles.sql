-- The roles of a new database. Each has the rights of its purpose; the superuser has no password and is let in through
-- the socket of its own pod only.
\set replication `cat "$SECRETS/postgresql-replication/password"`
\set app `cat "$SECRETS/project-ai-database/password"`
\set backup `cat "$SECRETS/postgresql-backup/password"`

CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
CREATE ROLE project_ai LOGIN PASSWORD :'app';
CREATE ROLE backup LOGIN PASSWORD :'backup' IN ROLE pg_read_all_data;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE DATABASE project_ai OWNER project_ai;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO replicator;
REVOKE CONNECT, TEMPORARY ON DATABASE project_ai FROM PUBLIC;
GRANT CONNECT ON DATABASE project_ai TO backup, monitor;

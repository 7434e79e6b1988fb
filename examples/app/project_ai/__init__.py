"""Project-AI's service, small and real: users behind an HTTP API, in SQLite or PostgreSQL."""

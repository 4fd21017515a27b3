"""The centre's schema, for SQLite and PostgreSQL."""

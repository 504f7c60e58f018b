"""The Postgres warehouse: connections by role, migrations, COPY."""

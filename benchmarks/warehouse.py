"""A PostgreSQL for one bench: the platform's own embedded server with its own settings, gone afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from data_platform.local.databases import prepare_databases, role_passwords
from data_platform.local.postgres import EmbeddedPostgres
from data_platform.local.secrets import ensure_env_file
from data_platform.settings import Settings, get_settings
from data_platform.warehouse.connection import Connection, open_connection
from data_platform.warehouse.migrate import migrate


class Warehouse:
    """A running server, a migrated database ``warehouse``, and the settings by which this process finds both.

    Args:
        directory: where server, state and settings file live.
    """

    def __init__(self, directory: Path) -> None:
        self.env_file = directory / "env"
        self._directory = directory
        for name in Settings.model_fields:  # the settings of whoever calls us must not leak into a bench
            os.environ.pop(name.upper(), None)
        self.env_file.write_text(f"STATE_DIR={directory / 'state'}\n", encoding="utf-8")
        ensure_env_file(self.env_file)
        os.environ["DP_ENV_FILE"] = str(self.env_file)
        get_settings.cache_clear()
        settings = get_settings()
        self.server = EmbeddedPostgres(
            directory / "postgres", settings.postgres_port, settings.postgres_superuser_password
        )

    def start(self) -> None:
        """Makes and starts the server, its roles and databases, and applies all migrations."""
        self.server.init()
        self.server.start()
        prepare_databases(self.server, role_passwords(get_settings()))
        migrate()

    def connect(self, role: str = "platform") -> Connection:
        """A connection to the warehouse as one of the platform's roles."""
        return open_connection(role, application="bench")

    def connect_as_superuser(self) -> Any:
        """A connection in autocommit mode, to read what only a superuser sees (WAL, locks of others)."""
        return self.server.connect("warehouse")

    def remove(self) -> None:
        """Stops the server and deletes its data."""
        self.server.stop()
        self.server.remove()

"""All settings in one place: the process environment first, then ``.env`` in the project's root.

Secrets are generated into ``.env`` at set-up (mode 600) and never have a default here.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from data_platform.failures import InputError

PROJECT_ROOT = Path(os.environ.get("DP_PROJECT_ROOT") or Path(__file__).resolve().parent.parent)
ROLES = ("platform", "analyst", "developer", "serving", "training", "steward")


class Settings(BaseSettings):
    """What differs between machines. Each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    project_root: Path = PROJECT_ROOT
    state_dir: Path = Field(PROJECT_ROOT / ".state", description="everything the running platform writes")
    landing_url: str = Field("", description="where deliveries land; default: state_dir/landing")
    lake_url: str = Field("", description="where the Delta tables live; default: state_dir/lake")
    backup_dir: str = Field("", description="where backups go; default: state_dir/backups")

    warehouse_url: str = Field("", description="postgresql://HOST:PORT/DATABASE, without user and password")
    warehouse_password_platform: SecretStr = SecretStr("")
    warehouse_password_analyst: SecretStr = SecretStr("")
    warehouse_password_developer: SecretStr = SecretStr("")
    warehouse_password_serving: SecretStr = SecretStr("")
    warehouse_password_training: SecretStr = SecretStr("")
    warehouse_password_steward: SecretStr = SecretStr("")

    source_urls: dict[str, SecretStr] = Field(
        {}, description='databases of sources: {"crm": "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"}'
    )

    postgres_port: int = Field(0, description="port of the embedded PostgreSQL")
    postgres_superuser_password: SecretStr = SecretStr("")

    airflow_port: int = Field(0, description="port of Airflow's API and UI on 127.0.0.1")
    airflow_admin_password: SecretStr = SecretStr("")
    airflow_database_password: SecretStr = SecretStr("")
    airflow_fernet_key: SecretStr = SecretStr("")
    airflow_jwt_secret: SecretStr = SecretStr("")
    airflow_secret_key: SecretStr = SecretStr("")
    reports_port: int = Field(0, description="port of the reports' pages on 127.0.0.1")

    spark_master: str = Field("local[*]", description="used when SPARK_REMOTE is empty")
    spark_remote: str = Field("", description="sc://HOST:PORT of a Spark Connect server")
    spark_connect_port: int = Field(0, description="port of the platform's own Spark Connect server")
    spark_connect_token: SecretStr = SecretStr("")

    sample_company: bool = Field(False, description="a generated day of the sample company lands before each night")
    ingest_batch_mb: int = Field(256, description="text that one ingestion job reads at most, in MB; bounds memory")

    backfill_chunk_days: int = Field(366, gt=0, description="days that a backfill publishes at once; bounds memory")
    night_budget_minutes: int = Field(240, ge=0, description="what a night may take; the rest waits; 0: no bound")

    business_date_offset_days: int = Field(0, description="the business date is today (UTC) minus this many days")

    log_format: Literal["text", "json"] = Field("text", description="what `dp` writes to standard error")
    alert_webhook_url: SecretStr = Field(SecretStr(""), description="gets alerts as JSON; such addresses hold tokens")
    alert_email_from: str = Field("", description="sender of alerts")
    alert_email_to: str = Field("", description="receivers of alerts, separated by commas")
    alert_smtp_starttls: bool = Field(True, description="encrypt the connection to an smtp:// server")
    alert_smtp_user: str = Field("", description="empty: the server asks for no login")
    alert_smtp_password: SecretStr = SecretStr("")
    alert_smtp_url: str = Field("", description="smtp://HOST:PORT, or smtps://HOST:PORT for TLS from the first byte")
    runbooks_url: str = Field("", description="where people read docs/runbooks; default: the path in the project")

    privacy_hash_key: SecretStr = Field(SecretStr(""), description="HMAC key of the `hash` policy, hex")
    quarantine_key: SecretStr = Field(SecretStr(""), description="Fernet key for quarantined raw text")

    @field_validator("warehouse_url")
    @classmethod
    def _has_no_credentials(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and not _names_a_database(parts):
            raise ValueError("must look like postgresql://HOST:PORT/DATABASE")
        if parts.password:
            raise ValueError("must not hold a password; set WAREHOUSE_PASSWORD_PLATFORM and its siblings")
        return url

    @field_validator("source_urls")
    @classmethod
    def _are_databases(cls, urls: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for source, url in urls.items():
            if not _is_database(url.get_secret_value()):
                raise ValueError(f"{source} must look like postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return urls

    @field_validator("alert_webhook_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if url.get_secret_value() and (parts.scheme not in {"https", "http"} or not parts.hostname):
            raise ValueError("must look like https://HOST/PATH")
        return url

    @field_validator("alert_smtp_url")  # after the fields that it looks at
    @classmethod
    def _can_send(cls, url: str, info: ValidationInfo) -> str:
        parts = urlsplit(url)
        if not url:
            return url
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or not parts.port or parts.username:
            raise ValueError("must look like smtp://HOST:PORT or smtps://HOST:PORT")
        if not info.data.get("alert_email_from") or not info.data.get("alert_email_to"):
            raise ValueError("needs ALERT_EMAIL_FROM and ALERT_EMAIL_TO")
        if info.data.get("alert_smtp_user") and parts.scheme == "smtp" and not info.data.get("alert_smtp_starttls"):
            raise ValueError("would send a password in the clear: use smtps://, or ALERT_SMTP_STARTTLS=true")
        return url

    @property
    def landing(self) -> str:
        """Root of the deliveries, without a trailing slash."""
        return (self.landing_url or str(self.state_dir / "landing")).rstrip("/")

    @property
    def lake(self) -> str:
        """Root of the lake, without a trailing slash."""
        return (self.lake_url or str(self.state_dir / "lake")).rstrip("/")

    @property
    def backups(self) -> Path:
        """Where backups go unless told otherwise."""
        return Path(self.backup_dir or self.state_dir / "backups")

    @property
    def contracts_dir(self) -> Path:
        return self.project_root / "contracts"

    @property
    def dbt_project_dir(self) -> Path:
        return self.project_root / "dbt_project"

    @property
    def reports_dir(self) -> Path:
        """Pages for people: Data Docs, dbt run pages."""
        return self.state_dir / "reports"

    def warehouse_parameters(self, role: str = "platform") -> dict[str, str | int]:
        """Connection parameters (host, port, dbname, user, password) of one of ``ROLES``.

        Raises:
            InputError: when the warehouse or the role's password is not set.
        """
        password = getattr(self, f"warehouse_password_{role}").get_secret_value()
        if not self.warehouse_url or not password:
            raise InputError(
                f"no warehouse is set up for role {role}: set WAREHOUSE_URL and WAREHOUSE_PASSWORD_{role.upper()}",
                hint="run `make demo` (or `make up`), which writes them into .env",
            )
        parts = urlsplit(self.warehouse_url)
        return {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or 5432,
            "dbname": parts.path.strip("/"),
            "user": role,
            "password": password,
        }


def _is_database(url: str) -> bool:
    """Whether an address can be used; what is wrong with it may show its password."""
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    try:
        parts = urlsplit(url)
        parse_dsn(url)
    except (ValueError, ProgrammingError):
        return False
    return _names_a_database(parts)


def _names_a_database(parts: SplitResult) -> bool:
    return parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname) and bool(parts.path.strip("/"))


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Tests call ``get_settings.cache_clear()`` after changing them.

    Raises:
        InputError: when a setting has the wrong form; the message names it.
    """
    env_file = Path(os.environ.get("DP_ENV_FILE") or PROJECT_ROOT / ".env")
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        problems = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise InputError(f"settings are wrong: {problems}", hint=f"correct them in {env_file}") from None
    except SettingsError:  # its message would show the value
        raise InputError(
            "settings are wrong: SOURCE_URLS is no JSON object", hint=f"correct it in {env_file}, as .env.example shows"
        ) from None

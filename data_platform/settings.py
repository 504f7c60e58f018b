"""All settings in one place: the process environment first, then the file of the environment in the project's root.

DP_ENVIRONMENT chooses that file: ``.env`` for ``dev``, else ``.env.<environment>``. Secrets are generated into it at
set-up (mode 600) and never have a default here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from data_platform import setting_forms as forms
from data_platform.environment import DEVELOPMENT, PROJECT_ROOT, default_state_dir, env_file, environment_name
from data_platform.failures import InputError

ROLES = ("platform", "analyst", "developer", "serving", "training", "steward")


class Settings(BaseSettings):
    """What differs between machines. Each field is an environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    dp_environment: Literal["dev", "staging", "prod"] = Field("dev", description="which checks hold; see .env.example")
    project_root: Path = PROJECT_ROOT
    state_dir: Path = Field(default_factory=default_state_dir, description="everything the running platform writes")
    landing_url: str = Field("", description="where deliveries land; default: state_dir/landing")
    lake_url: str = Field("", description="where the Delta tables live; default: state_dir/lake")
    backup_dir: str = Field("", description="where backups go; default: state_dir/backups")

    postgres_admin_url: SecretStr = Field(
        SecretStr(""), description="of a PostgreSQL of your own, in place of the embedded one, as its administrator"
    )
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

    spark_master: str = Field("local[*]", description="where Sparks of the platform's own compute; or spark://…")
    spark_connect_port: int = Field(0, description="port of the platform's own Spark Connect server")
    spark_remote: str = Field("", validate_default=True, description="sc://HOST:PORT of a Spark Connect server")
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
    vault_key: SecretStr = Field(SecretStr(""), description="Fernet key for what the vault keeps of people")

    @field_validator("dp_environment", mode="before")
    @classmethod
    def _is_development(cls, name: str) -> str:
        return name or DEVELOPMENT

    @field_validator("dp_environment")
    @classmethod
    def _is_that_of_the_process(cls, name: str) -> str:
        if name != environment_name():
            raise ValueError(
                f"is {name}, but this process works in {environment_name()}: say it in the process environment, as it "
                "chooses the file and the state"
            )
        return name

    @field_validator("state_dir")
    @classmethod
    def _below_the_project(cls, folder: Path) -> Path:
        return PROJECT_ROOT / folder

    @field_validator("landing_url")
    @classmethod
    def _is_a_folder(cls, url: str) -> str:
        return _checked(url, forms.wrong_folder)

    @field_validator("lake_url")
    @classmethod
    def _is_a_lake(cls, url: str) -> str:
        return _checked(url, forms.wrong_lake)

    @field_validator("postgres_admin_url")
    @classmethod
    def _can_log_in(cls, url: SecretStr) -> SecretStr:
        _checked(url.get_secret_value(), forms.wrong_database)
        if url.get_secret_value() and not urlsplit(url.get_secret_value()).password:
            raise ValueError("must look like postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return url

    @field_validator("warehouse_url")  # after the administrator's
    @classmethod
    def _has_no_credentials(cls, url: str, info: ValidationInfo) -> str:
        if url and not forms.names_a_database(url):
            raise ValueError("must look like postgresql://HOST:PORT/DATABASE")
        if urlsplit(url).password:
            raise ValueError("must not hold a password; set WAREHOUSE_PASSWORD_PLATFORM and its siblings")
        admin = info.data.get("postgres_admin_url", SecretStr("")).get_secret_value()
        if url and admin and not forms.same_server(url, admin):
            raise ValueError(
                "is not on the server of POSTGRES_ADMIN_URL; remove it, and the platform is set up there anew (what it "
                "holds now stays where it is: take a backup first, and restore that there)"
            )
        return url

    @field_validator("source_urls")
    @classmethod
    def _are_databases(cls, urls: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for source, url in urls.items():
            if wrong := forms.wrong_database(url.get_secret_value()):
                raise ValueError(f"{source} {wrong}")
        return urls

    @field_validator("spark_master")
    @classmethod
    def _is_a_master(cls, master: str) -> str:
        return _checked(master, forms.wrong_master)

    @field_validator("spark_remote")  # after the lake and the port
    @classmethod
    def _can_reach_the_lake(cls, remote: str, info: ValidationInfo) -> str:
        _checked(remote, forms.wrong_remote)
        in_store = urlsplit(info.data.get("lake_url", "")).scheme in forms.OBJECT_STORES
        if in_store and not _is_foreign(remote, info.data["spark_connect_port"]):
            raise ValueError(
                "must name a Spark Connect server that can write to LAKE_URL's object store: the platform's own has no "
                "connector for it"
            )
        return remote

    @field_validator("sample_company")
    @classmethod
    def _not_beside_real_data(cls, lands: bool, info: ValidationInfo) -> bool:
        if lands and info.data.get("dp_environment") == "prod":
            raise ValueError("must be false in prod: its generated customers would be published with the real ones")
        return lands

    @field_validator("business_date_offset_days")
    @classmethod
    def _is_the_calendar(cls, days: int, info: ValidationInfo) -> int:
        if days and info.data.get("dp_environment") == "prod":
            raise ValueError("must be 0 in prod: nights would load the wrong day")
        return days

    @field_validator("alert_webhook_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        parts = forms.parts_of(url.get_secret_value())
        if url.get_secret_value() and not (parts and parts.scheme in {"https", "http"} and parts.hostname):
            raise ValueError("must look like https://HOST/PATH")
        return url

    @field_validator("alert_smtp_url")  # after the fields that it looks at
    @classmethod
    def _can_send(cls, url: str, info: ValidationInfo) -> str:
        if not url:
            return url
        parts = forms.parts_of(url)
        if not parts or parts.scheme not in {"smtp", "smtps"} or not parts.hostname or not parts.port or parts.username:
            raise ValueError("must look like smtp://HOST:PORT or smtps://HOST:PORT")
        if not info.data.get("alert_email_from") or not info.data.get("alert_email_to"):
            raise ValueError("needs ALERT_EMAIL_FROM and ALERT_EMAIL_TO")
        if info.data.get("alert_smtp_user") and parts.scheme == "smtp" and not info.data.get("alert_smtp_starttls"):
            raise ValueError("would send a password in the clear: use smtps://, or ALERT_SMTP_STARTTLS=true")
        return url

    @property
    def landing(self) -> str:
        """Root of the deliveries, without a trailing slash."""
        return forms.without_scheme(self.landing_url or str(self.state_dir / "landing")).rstrip("/")

    @property
    def lake(self) -> str:
        """Root of the lake, without a trailing slash."""
        return forms.without_scheme(self.lake_url or str(self.state_dir / "lake")).rstrip("/")

    @property
    def has_foreign_spark(self) -> bool:
        """Whether SPARK_REMOTE names somebody else's server, rather than this platform's own or none."""
        return _is_foreign(self.spark_remote, self.spark_connect_port)

    @property
    def computes_here(self) -> bool:
        """Whether Sparks of the platform's own compute inside their process, rather than on SPARK_MASTER's cluster."""
        return self.spark_master.startswith("local")

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


def _checked(value: str, wrong: Callable[[str], str]) -> str:
    if value and (problem := wrong(value)):
        raise ValueError(problem)
    return value


def _is_foreign(remote: str, own_port: int) -> bool:
    parts = urlsplit(remote)
    return bool(remote) and (parts.hostname, parts.port) != ("localhost", own_port)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Tests call ``get_settings.cache_clear()`` after changing them.

    Raises:
        InputError: when a setting has the wrong form; the message names it.
    """
    file = env_file()
    try:
        return Settings(_env_file=file)
    except ValidationError as error:
        problems = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise InputError(f"settings are wrong: {problems}", hint=f"correct them in {file}") from None
    except SettingsError:  # its message would show the value
        raise InputError(
            "settings are wrong: SOURCE_URLS is no JSON object", hint=f"correct it in {file}, as .env.example shows"
        ) from None

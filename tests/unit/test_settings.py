"""A setting of the wrong form is told at the start, by its name, with what to do, and without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values

from data_platform.environment import PROJECT_ROOT
from data_platform.failures import InputError
from data_platform.local.client import run_dir
from data_platform.settings import Settings, get_settings

SECRET = "only-here"  # in no message
# Python refuses to part such addresses: a bracket without its twin, a letter that becomes a slash.
NO_HOSTS = (f"boss:{SECRET}@[host", f"boss:{SECRET}@ho℀st")
ADMIN = f"postgresql://boss:{SECRET}@db.example.org:5433/postgres"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DP_ENV_FILE", str(tmp_path / "no.env"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    return get_settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"DP_ENVIRONMENT": "production"}, "DP_ENVIRONMENT: Input should be 'dev', 'staging' or 'prod'"),
        ({"DP_ENVIRONMENT": "prod", "SAMPLE_COMPANY": "true"}, "SAMPLE_COMPANY: Value error, must be false in prod"),
        ({"DP_ENVIRONMENT": "prod", "BUSINESS_DATE_OFFSET_DAYS": "1"}, "DAYS: Value error, must be 0 in prod"),
        ({"LANDING_URL": "landing"}, "LANDING_URL: Value error, must be an absolute path"),
        ({"LANDING_URL": "file://landing"}, "LANDING_URL: Value error, must look like file:///FOLDER"),
        ({"LANDING_URL": "s3://bucket/landing"}, "LANDING_URL: Value error, must be a folder: deliveries are read"),
        ({"LAKE_URL": "./lake"}, "LAKE_URL: Value error, must be an absolute path"),
        ({"LAKE_URL": "https://example.org/lake"}, "LAKE_URL: Value error, must be a folder, or begin with one of s3"),
        ({"LAKE_URL": "s3a://bucket/lake"}, "LAKE_URL: Value error, must be written s3://"),
        ({"LAKE_URL": "s3:///lake"}, "LAKE_URL: Value error, must look like s3://BUCKET/FOLDER"),
        (
            {"LAKE_URL": "s3://bucket/lake"},
            "SPARK_REMOTE: Value error, must name a Spark Connect server that can write",
        ),
        (
            {"LAKE_URL": "gs://b/lake", "SPARK_REMOTE": "sc://localhost:15002", "SPARK_CONNECT_PORT": "15002"},
            "the platform's own has no connector",
        ),
        ({"LAKE_URL": f"s3://KEY:{SECRET}@bucket/lake"}, "LAKE_URL: Value error, must not hold credentials"),
        ({"LAKE_URL": f"gs://{SECRET}@bucket/lake"}, "LAKE_URL: Value error, must not hold credentials"),
        ({"LAKE_URL": f"s3://bucket/lake?key={SECRET}"}, "LAKE_URL: Value error, must not hold credentials"),
        ({"LAKE_URL": f"abfss://lake:{SECRET}@account.net/lake"}, "LAKE_URL: Value error, must not hold credentials"),
        *(({"LAKE_URL": f"s3://{text}"}, "LAKE_URL: Value error, must look like s3://BUCKET/") for text in NO_HOSTS),
        ({"LAKE_URL": f"file://{NO_HOSTS[0]}"}, "LAKE_URL: Value error, must look like file:///FOLDER"),
        *(({"ALERT_WEBHOOK_URL": f"https://{text}"}, "ALERT_WEBHOOK_URL: Value error, must look") for text in NO_HOSTS),
        *(({"ALERT_SMTP_URL": f"smtp://{text}:25"}, "ALERT_SMTP_URL: Value error, must look") for text in NO_HOSTS),
        *(({"WAREHOUSE_URL": f"postgresql://{text}/db"}, "WAREHOUSE_URL: Value error, must look") for text in NO_HOSTS),
        ({"ALERT_SMTP_URL": f"smtp://boss:{SECRET}@host:port"}, "ALERT_SMTP_URL: Value error, must look like smtp://"),
        ({"SPARK_MASTER": "yarn"}, "SPARK_MASTER: Value error, must be local[N]"),
        ({"SPARK_MASTER": "spark://host"}, "SPARK_MASTER: Value error, must be local[N]"),
        ({"SPARK_REMOTE": "spark://host:7077"}, "SPARK_REMOTE: Value error, must look like sc://HOST:PORT"),
        ({"SPARK_REMOTE": "sc://host"}, "SPARK_REMOTE: Value error, must look like sc://HOST:PORT"),
        ({"SPARK_REMOTE": "sc://host:port"}, "SPARK_REMOTE: Value error, must look like sc://HOST:PORT"),
        ({"SPARK_REMOTE": f"sc://host:1/;token={SECRET}"}, "SPARK_REMOTE: Value error, must not hold a token"),
        ({"POSTGRES_ADMIN_URL": f"mysql://boss:{SECRET}@host/db"}, "POSTGRES_ADMIN_URL: Value error, must look like"),
        ({"POSTGRES_ADMIN_URL": "postgresql://boss@host/db"}, "POSTGRES_ADMIN_URL: Value error, must look like"),
        ({"POSTGRES_ADMIN_URL": f"postgresql://b:{SECRET}@host:x/db"}, "POSTGRES_ADMIN_URL: Value error, must look"),
        (
            {"POSTGRES_ADMIN_URL": ADMIN, "WAREHOUSE_URL": "postgresql://127.0.0.1:5532/warehouse"},
            "WAREHOUSE_URL: Value error, is not on the server of POSTGRES_ADMIN_URL; remove it",
        ),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(monkeypatch, **values)
    assert message in caught.value.message
    assert "no.env" in caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"DP_ENVIRONMENT": "staging", "SAMPLE_COMPANY": "true", "BUSINESS_DATE_OFFSET_DAYS": "10000"},
        {"DP_ENVIRONMENT": "prod", "SAMPLE_COMPANY": "false", "BUSINESS_DATE_OFFSET_DAYS": "0"},
        {
            "LAKE_URL": "abfss://lake@account.example.org/lake",
            "SPARK_REMOTE": "sc://spark.example.org:443/;use_ssl=true",
        },
        {"POSTGRES_ADMIN_URL": ADMIN, "WAREHOUSE_URL": "postgresql://db.example.org:5433/warehouse"},
        *({"SPARK_MASTER": master} for master in ("local", "local[*]", "local[2,3]", "spark://a:7077,b:7077")),
    ],
)
def test_a_right_setting_is_taken(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    settings(monkeypatch, **values)


def test_the_file_does_not_say_another_environment_than_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("DP_ENVIRONMENT=prod\n")
    monkeypatch.setenv("DP_ENV_FILE", str(file))
    with pytest.raises(InputError, match="is prod, but this process works in dev: say it in the process environment"):
        settings(monkeypatch)
    assert settings(monkeypatch, DP_ENVIRONMENT="prod").dp_environment == "prod"


def test_a_folder_may_be_written_as_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, LANDING_URL="file:///data/my%20landing/", LAKE_URL="file:///data/lake")
    assert (found.landing, found.lake) == ("/data/my landing", "/data/lake")


def test_a_relative_state_folder_is_the_projects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = settings(monkeypatch, STATE_DIR="somewhere")
    assert found.state_dir == PROJECT_ROOT / "somewhere"
    assert run_dir() == found.state_dir / "run"


@pytest.mark.parametrize(
    ("name", "file", "state"),
    [("", ".env", ".state"), ("dev", ".env", ".state"), ("prod", ".env.prod", ".state.prod")],
)
def test_an_environment_has_a_file_and_a_state_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, file: str, state: str
) -> None:
    from data_platform.environment import env_file

    monkeypatch.delenv("DP_ENV_FILE")
    monkeypatch.setenv("DP_ENVIRONMENT", name)
    assert env_file() == PROJECT_ROOT / file
    assert Settings().state_dir == PROJECT_ROOT / state
    assert run_dir() == PROJECT_ROOT / state / "run"


def test_the_example_names_every_setting() -> None:
    example = PROJECT_ROOT / ".env.example"
    written = example.read_text(encoding="utf-8").replace("# ", "")
    missing = [name.upper() for name in Settings.model_fields if f"\n{name.upper()}=" not in written]
    assert missing == ["PROJECT_ROOT"], "it is set by DP_PROJECT_ROOT, and only where code and checkout are apart"
    assert set(dotenv_values(example)) <= {name.upper() for name in Settings.model_fields}

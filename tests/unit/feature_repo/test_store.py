"""Feast's settings: made from ours, secrets where they belong, readable by their owner only."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.failures import InputError
from data_platform.settings import Settings
from feature_repo import store

PASSWORD = "it's 'so' secret: #1"


def settings(url: str = "postgresql://127.0.0.1:5532/warehouse") -> Settings:
    return Settings(warehouse_url=url, warehouse_password_platform=PASSWORD, warehouse_password_serving="other")


def test_the_template_becomes_settings_of_a_role() -> None:
    told: dict[str, Any] = yaml.safe_load(store.render(settings()))
    for part in ("online_store", "offline_store"):
        assert told[part]["password"] == PASSWORD
        assert told[part]["user"] == "platform"
        assert (told[part]["host"], told[part]["port"]) == ("127.0.0.1", 5532)
        assert told[part]["sslmode"] == "prefer"
    assert told["registry"]["path"] == "postgresql+psycopg://platform@127.0.0.1:5532/feast"
    assert told["registry"]["sqlalchemy_config_kwargs"]["connect_args"]["password"] == PASSWORD
    serving = yaml.safe_load(store.render(settings(), "serving"))
    assert (serving["online_store"]["user"], serving["online_store"]["password"]) == ("serving", "other")


def test_another_machine_is_reached_by_tls_unless_the_environment_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    told = yaml.safe_load(store.render(settings("postgresql://db.example:5432/warehouse")))
    assert told["online_store"]["sslmode"] == "require"
    assert told["registry"]["sqlalchemy_config_kwargs"]["connect_args"]["sslmode"] == "require"
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert store.environment(settings())["WAREHOUSE_SSLMODE"] == "verify-full"


def test_without_a_warehouse_the_message_says_what_to_run() -> None:
    with pytest.raises(InputError, match="no warehouse is set up") as failure:
        store.render(Settings(warehouse_url=""))
    assert "make demo" in failure.value.hint


def test_the_written_settings_are_their_owners_even_when_they_were_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "feature_store.yaml"
    file.write_text("old" * 1000, encoding="utf-8")
    file.chmod(0o644)
    monkeypatch.setattr(store, "RENDERED", file)
    monkeypatch.setattr(store, "get_settings", settings)
    assert store.write_settings() == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["project"] == store.project()


def test_the_template_holds_variables_where_secrets_go() -> None:
    told = yaml.safe_load(store.TEMPLATE.read_text(encoding="utf-8"))
    passwords = [told[part]["password"] for part in ("online_store", "offline_store")]
    passwords.append(told["registry"]["sqlalchemy_config_kwargs"]["connect_args"]["password"])
    assert set(passwords) == {"${FEAST_PASSWORD}"}

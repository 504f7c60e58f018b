"""`.env` is completed, never overwritten, and readable by its owner only."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from dotenv import dotenv_values

from data_platform.local.secrets import ensure_compose_file, ensure_env_file, missing_keys, pick_port, write_private
from data_platform.settings import PROJECT_ROOT, Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the keys that set-up generates comes from the environment of the test run."""
    for key in dotenv_values(PROJECT_ROOT / ".env.example"):
        monkeypatch.delenv(key, raising=False)


@pytest.fixture
def written(tmp_path: Path) -> dict[str, str | None]:
    ensure_env_file(tmp_path / ".env")
    return dotenv_values(tmp_path / ".env")


def test_it_writes_exactly_the_keys_of_the_example(written: dict[str, str | None]) -> None:
    assert set(written) == set(dotenv_values(PROJECT_ROOT / ".env.example"))
    assert all(written.values())


def test_every_key_is_a_setting(written: dict[str, str | None]) -> None:
    assert {key.lower() for key in written} <= set(Settings.model_fields)


def test_secrets_differ_from_each_other_and_from_another_machine(
    written: dict[str, str | None], tmp_path: Path
) -> None:
    ensure_env_file(tmp_path / "other")
    other = dotenv_values(tmp_path / "other")
    secrets = [key for key in written if any(word in key for word in ("PASSWORD", "KEY", "SECRET", "TOKEN"))]
    assert len(secrets) >= 12
    values = [written[key] for key in secrets] + [other[key] for key in secrets]
    assert len(set(values)) == len(values)


def test_keys_have_the_form_that_their_users_want(written: dict[str, str | None]) -> None:
    for key in ("QUARANTINE_KEY", "VAULT_KEY", "AIRFLOW_FERNET_KEY"):
        Fernet(written[key] or "")
    assert len(bytes.fromhex(written["PRIVACY_HASH_KEY"] or "")) == 32
    assert len(written["AIRFLOW_JWT_SECRET"] or "") >= 64


def test_yesterday_on_the_business_clock_is_the_sample_companys_last_real_day(written: dict[str, str | None]) -> None:
    today = datetime.now(UTC).date() - timedelta(days=int(written["BUSINESS_DATE_OFFSET_DAYS"] or ""))
    assert today - timedelta(days=1) == date(1998, 6, 30)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    ensure_env_file(file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    ensure_env_file(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_second_set_up_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert ensure_env_file(file)
    before = file.read_bytes()
    assert ensure_env_file(file) == []
    assert file.read_bytes() == before


def test_what_stands_there_stays(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    mine = "# mine\nWAREHOUSE_URL=postgresql://db.example.org/warehouse\nOTHER=1"
    file.write_text(mine)
    added = ensure_env_file(file)
    assert file.read_text().startswith(f"{mine}\n")
    assert "WAREHOUSE_URL" not in added
    assert "QUARANTINE_KEY" in added


def test_what_the_environment_says_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "12345")
    added = ensure_env_file(tmp_path / ".env")
    assert "POSTGRES_PORT" not in added
    assert dotenv_values(tmp_path / ".env")["WAREHOUSE_URL"] == "postgresql://127.0.0.1:12345/warehouse"


def test_the_warehouse_is_on_the_administrators_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_ADMIN_URL", "postgresql://boss:secret@[::1]/postgres")
    ensure_env_file(tmp_path / ".env")
    written = dotenv_values(tmp_path / ".env")
    assert written["WAREHOUSE_URL"] == "postgresql://[::1]:5432/warehouse"
    assert "POSTGRES_ADMIN_URL" not in written


def test_only_dev_has_a_business_clock_that_is_behind(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DP_ENVIRONMENT=prod\n")
    ensure_env_file(tmp_path / ".env")
    written = dotenv_values(tmp_path / ".env")
    assert (written["BUSINESS_DATE_OFFSET_DAYS"], written["SAMPLE_COMPANY"]) == ("0", "false")


def test_what_is_missing_is_what_would_be_added(tmp_path: Path) -> None:
    missing = missing_keys(tmp_path / ".env")
    assert missing == ensure_env_file(tmp_path / ".env")
    assert missing_keys(tmp_path / ".env") == []


def test_the_compose_file_is_whole_and_holds_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PASSWORD_PLATFORM", "of the process")
    monkeypatch.setenv("DP_ENVIRONMENT", "prod")
    file = tmp_path / ".env.compose"
    ensure_compose_file(file)
    written = dotenv_values(file)
    assert written["WAREHOUSE_PASSWORD_PLATFORM"] not in {None, "", "of the process"}
    assert (written["DP_ENVIRONMENT"], written["BUSINESS_DATE_OFFSET_DAYS"]) == ("prod", "0")
    assert not [key for key in written if key.endswith(("_URL", "_PORT", "_REMOTE"))]
    assert len(set(written.values())) == len(written)
    assert file.stat().st_mode & 0o777 == 0o600
    assert ensure_compose_file(file) == []


def test_a_taken_port_is_not_picked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert pick_port(port) != port
    assert pick_port(port) == port


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    write_private(file, "old")

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_private(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]

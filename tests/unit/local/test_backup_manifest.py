"""Which keys a backup asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.failures import InputError
from data_platform.local.backup_manifest import (
    Manifest,
    fingerprints_of_keys,
    refuse_other_settings,
    secrets_to_keep,
    settings_to_keep,
)
from data_platform.settings import Settings


def manifest_of(settings: Settings, without: str = "") -> Manifest:
    keys = {name: digest for name, digest in fingerprints_of_keys(settings).items() if name != without}
    kept = settings_to_keep(settings)
    return Manifest(
        taken_at=datetime(1998, 1, 5, tzinfo=UTC),
        publication_id=None,
        migrations=(),
        settings=kept,
        keys=keys,
        databases={},
        lake={},
        files={},
    )


def test_a_backup_from_before_a_key_was_there_does_not_ask_for_it() -> None:
    old, new = Settings(vault_key="old"), Settings(vault_key="new")
    refuse_other_settings(manifest_of(old, without="VAULT_KEY"), new, Path(".env"))
    with pytest.raises(InputError, match="made with: VAULT_KEY"):
        refuse_other_settings(manifest_of(old), new, Path(".env"))


def test_a_key_that_was_not_made_yet_is_not_kept_as_an_empty_one() -> None:
    before, after = Settings(quarantine_key="q", vault_key=""), Settings(quarantine_key="q", vault_key="made later")
    assert fingerprints_of_keys(before).keys() >= {"QUARANTINE_KEY"}
    assert "VAULT_KEY" not in fingerprints_of_keys(before)
    assert "QUARANTINE_KEY=q\n" in secrets_to_keep(before)
    assert "VAULT_KEY" not in secrets_to_keep(before)
    refuse_other_settings(manifest_of(before), after, Path(".env"))

"""What a backup says of itself: ``manifest.json``, written last, and what is checked against it.

Keys stand in it as keyed digests only: whoever has the key can check that it is the one, nobody else learns of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator

from data_platform.failures import InputError, PermanentFailure
from data_platform.settings import Settings

NAME = "manifest.json"
# Without these nothing that comes later fits what was there: pseudonyms, quarantined rows, what the vault keeps,
# Airflow's connections.
KEYS = ("PRIVACY_HASH_KEY", "QUARANTINE_KEY", "VAULT_KEY", "AIRFLOW_FERNET_KEY")
# Published state depends on these as it does on the deliveries.
SAME_SETTINGS = ("BUSINESS_DATE_OFFSET_DAYS", "SAMPLE_COMPANY")
BLOCK = 1 << 20
SHOWN = 5


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredFile(_Part):
    """A file of the backup; its name there is relative to the backup."""

    size_bytes: int
    sha256: str


class TableSum(_Part):
    """What a table held: its rows, and a sum over them that does not depend on their order."""

    rows: int
    checksum: str


class AppliedMigration(_Part):
    """A migration that had made the warehouse what it was."""

    number: int
    name: str
    sha256: str


class Manifest(_Part):
    """The content of ``manifest.json``.

    Args:
        taken_at: time of the snapshot of the warehouse.
        publication_id: the last publication in it.
        settings: those of ``SAME_SETTINGS``, as text.
        keys: name to keyed digest of each of ``KEYS`` that was there.
        databases: database to table (``schema.name``) to what it held.
        lake: Delta table (relative to the lake) to its version.
        files: every other file of the backup.
    """

    format: Literal[1] = 1
    taken_at: datetime
    publication_id: int | None
    migrations: tuple[AppliedMigration, ...]
    settings: dict[str, str]
    keys: dict[str, str]
    databases: dict[str, dict[str, TableSum]]
    lake: dict[str, int]
    files: dict[str, StoredFile]

    @field_validator("files")
    @classmethod
    def _stays_inside(cls, files: dict[str, StoredFile]) -> dict[str, StoredFile]:
        for name in files:
            if name.startswith("/") or ".." in name.split("/"):
                raise ValueError(f"{name} leads outside the backup")
        return files

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files.values())

    @property
    def rows(self) -> int:
        """Of all tables together."""
        return sum(table.rows for tables in self.databases.values() for table in tables.values())

    def below(self, folder: str) -> list[str]:
        """Names of its files in a folder, relative to that."""
        return sorted(name.removeprefix(f"{folder}/") for name in self.files if name.startswith(f"{folder}/"))


def read_manifest(backup: Path) -> Manifest:
    """The manifest of a complete backup.

    Raises:
        InputError: when there is none, or it is not one.
    """
    try:
        return Manifest.model_validate_json((backup / NAME).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{backup} is not a complete backup: it has no {NAME}", hint="`dp backup list` names those that are"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{backup / NAME} is not a manifest of this version: {place or 'the file'}: {first['msg']}",
            hint="take another backup, or the version of the platform that wrote this one",
        ) from None


def stored(path: Path) -> StoredFile:
    """What the manifest says of a file as it is now."""
    with path.open("rb") as stream:
        return StoredFile(size_bytes=path.stat().st_size, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def verify_files(backup: Path, manifest: Manifest) -> None:
    """Reads every file of a backup.

    Raises:
        PermanentFailure: naming those that are missing or not what was written.
    """
    damaged = list(_damaged(backup, manifest))
    if damaged:
        shown = [*damaged[:SHOWN], f"{len(damaged) - SHOWN} more"] if len(damaged) > SHOWN else damaged
        raise PermanentFailure(
            f"{backup} is damaged: {', '.join(shown)}",
            hint="take another backup; `dp backup verify` tells of each whether it is whole",
        )


def _damaged(backup: Path, manifest: Manifest) -> Iterable[str]:
    for name, file in manifest.files.items():
        path = backup / name
        if not path.is_file():
            yield f"{name} is missing"
        elif stored(path) != file:
            yield f"{name} was changed"


def fingerprints_of_keys(settings: Settings) -> dict[str, str]:
    """Name to keyed digest of each of ``KEYS`` that is there."""
    return {name: _fingerprint(name, key) for name in KEYS if (key := _value(settings, name))}


def _fingerprint(name: str, key: str) -> str:
    return hmac.digest(key.encode(), f"a key of a data platform: {name}".encode(), "sha256").hex()


def settings_to_keep(settings: Settings) -> dict[str, str]:
    """Name to value of each of ``SAME_SETTINGS``."""
    return {name: _value(settings, name) for name in SAME_SETTINGS}


def secrets_to_keep(settings: Settings) -> str:
    """The lines of ``.env`` that no set-up can make anew."""
    # An empty key would stand in the way of the one that a set-up makes.
    lines = [f"{name}={value}\n" for name in (*KEYS, *SAME_SETTINGS) if (value := _value(settings, name))]
    return (
        "# What a restored platform needs of the old one; stands in for its .env. Keep it apart from the backup.\n"
        + "".join(lines)
    )


def _value(settings: Settings, name: str) -> str:
    value = getattr(settings, name.lower())
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def refuse_other_settings(manifest: Manifest, settings: Settings, env_file: Path) -> None:
    """Stops a restore under which nothing new would fit what was there.

    Raises:
        InputError: naming the keys and settings that differ.
    """
    keys, kept = fingerprints_of_keys(settings), settings_to_keep(settings)
    # A key that was not there yet has encrypted nothing.
    wrong = [name for name, digest in manifest.keys.items() if not hmac.compare_digest(keys.get(name, ""), digest)]
    wrong += [
        f"{name} ({kept[name]}, there {manifest.settings.get(name)})"
        for name in SAME_SETTINGS
        if kept[name] != manifest.settings.get(name)
    ]
    if wrong:
        raise InputError(
            f"not the settings that the backup was made with: {', '.join(wrong)}",
            hint=f"put the .env of then, or the backup's secrets.env, in place as {env_file}; nothing was changed",
        )

"""Records of the vault: what a row says of its subject, sealed, numbered by content.

Numbers are keyed hashes under keys derived from VAULT_KEY: of a record they tell whether another row says the same, of
a subject whether another row is of him, and nothing else. Spark's workers use this module.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from data_platform.privacy import decrypt, derived_key, encrypter, token, token_key
from data_platform.redaction.known import Value

NUMBER_BYTES = 8


class Kept(NamedTuple):
    """A column whose values are kept: its name, what they are to their subject, and whether tokens stand for them.

    Without a kind nobody is known by them.
    """

    column: str
    kind: str | None
    has_token: bool


@dataclass(frozen=True)
class Record:
    """What a row says of its subject; ``sealed`` is a Fernet token of the values.

    ``identifies`` where it holds something that the subject is known by.
    """

    number: int
    dataset: str
    subject: int | None
    identifies: bool
    tokens: tuple[str, ...]
    sealed: str = field(repr=False)


@dataclass
class Findings:
    """What a reading of a delivery brings to the vault, and what it took from it.

    Args:
        records: numbers of the records that it holds.
        subjects: of redacted texts, each with the sum of the records known of him; None where that changed meanwhile.
    """

    records: set[int] = field(default_factory=set)
    subjects: dict[int, int | None] = field(default_factory=dict)

    def add_subject(self, subject: int, known: int | None) -> None:
        """Adds whom a text speaks of; when two texts were redacted by other records, neither sum is that of both."""
        self.subjects[subject] = known if self.subjects.get(subject, known) == known else None


class Sealer:
    """Makes records of rows.

    Args:
        subject: name of the column that says whose the row is; subjects of one name are the same in all datasets.
        key: VAULT_KEY.
        pseudonyms: PRIVACY_HASH_KEY, which tokens come from.
    """

    def __init__(
        self, dataset: str, columns: Iterable[Kept], *, subject: str | None, key: bytes, pseudonyms: bytes
    ) -> None:
        self._dataset, self._columns, self._subject = dataset, tuple(columns), subject
        self._numbers, self._subjects = derived_key(key, "records of the vault"), derived_key(key, "subjects")
        self._encrypt = encrypter(key)
        self._tokens = token_key(pseudonyms)

    def subject_number(self, value: object) -> int | None:
        """The number of a subject; None without one."""
        if value is None or self._subject is None:
            return None
        return _number(self._subjects, f"{self._subject}\0{value}")

    def content(self, values: Iterable[str | None]) -> str | None:
        """What a row says, given its values of the kept columns, as JSON; None where it says nothing."""
        said = [[*kept[:2], text] for kept, text in zip(self._columns, values, strict=True) if text is not None]
        return json.dumps(said, ensure_ascii=False) if said else None

    def number(self, subject: int | None, content: str) -> int:
        """The number of a record."""
        return _number(self._numbers, f"{self._dataset}\0{subject}\0{content}")

    def seal(self, subject: int | None, values: Sequence[str | None], content: str, number: int) -> Record:
        """The record itself."""
        published = (text for kept, text in zip(self._columns, values, strict=True) if kept.has_token and text)
        tokens = sorted({token(text, self._tokens) for text in published})
        identifies = subject is not None and any(
            kept.kind and text for kept, text in zip(self._columns, values, strict=True)
        )
        return Record(number, self._dataset, subject, identifies, tuple(tokens), self._encrypt(content))


def _number(key: bytes, text: str) -> int:
    return int.from_bytes(hmac.digest(key, text.encode(), "sha256")[:NUMBER_BYTES], signed=True)


def open_record(sealed: bytes, key: bytes) -> list[tuple[str, str | None, str]]:
    """The values of a record: column, kind, text.

    Raises:
        InputError: when it was sealed under another VAULT_KEY.
    """
    return [(column, kind, text) for column, kind, text in json.loads(decrypt(sealed, key, name="VAULT_KEY"))]


def known_values(sealed: bytes, key: bytes, since: datetime) -> list[Value]:
    """What its subject is known by since a time, of a record.

    Raises:
        InputError: as ``open_record``.
    """
    return [Value(kind, text, since) for _, kind, text in open_record(sealed, key) if kind]

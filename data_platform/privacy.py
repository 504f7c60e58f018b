"""What becomes of personal values on the way in: pseudonyms, coarser values, encrypted raw text.

``hash``: HMAC-SHA256 under ``PRIVACY_HASH_KEY``, cut to 128 bits, in hex. The same person gets the same pseudonym in
every dataset, so values are brought to one form first: Unicode NFKC, case folded, blanks trimmed and joined; of
telephone numbers, and of ten digits or more in groups, the digits, of addresses of the internet also the dots. Without
the key a pseudonym can neither be turned back nor be checked against a guess.

``tokenise``: a token, which is a pseudonym of its own kind, as stable; what it stands for is in the vault.

``generalise: age_band``: the band of the age on the row's day. ``drop``: nothing is left. ``keep``: the value stays,
for the purpose that the contract grants. ``redact``: see ``data_platform.redaction``.

Raw text of quarantined rows is a Fernet token under ``QUARANTINE_KEY`` where the dataset has personal columns.

Spark's workers import this module, so its heavier imports are made where they are needed.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from data_platform.failures import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MASK = "•••"  # what people see of a personal value, and of a pseudonym
PSEUDONYM_HEX = 32
TOKEN = "tok_"  # noqa: S105 - what tokens begin with
REMEMBERED = 1 << 17  # values that a task keeps: each extract brings most of those of the one before
MINIMUM_KEY_BYTES = 16
UNKNOWN = "unknown"
# Lowest age of each band; ages from 120 up are nobody's.
AGE_BANDS = ((0, "0-17"), (18, "18-24"), (25, "25-34"), (35, "35-44"), (45, "45-54"), (55, "55-64"), (65, "65+"))
OLDEST = 120
# Written like a number that is called: with a plus, a bracket or a zero first; or long, in groups. In what is shorter,
# like days, the signs tell values apart: 1990-11-1 and 1990-1-11.
TELEPHONE = re.compile(r"(?=[+(]|0\d)[+(]*(?:\d[\s()./-]*){6,}|(?=(?:\D*\d){10})\d+(?:[\s()./-]+\d{2,})+")


def hash_key() -> bytes:
    """The key of the ``hash`` policy.

    Raises:
        InputError: when it is missing, no hex, or too short.
    """
    from data_platform.settings import get_settings

    text = get_settings().privacy_hash_key.get_secret_value()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < MINIMUM_KEY_BYTES:
        raise InputError(
            f"PRIVACY_HASH_KEY must be at least {MINIMUM_KEY_BYTES * 2} hex digits",
            hint="`make up` writes one into .env; a changed key makes new pseudonyms of everybody",
        )
    return key


def quarantine_key() -> bytes:
    """The Fernet key of quarantined raw text.

    Raises:
        InputError: when it is missing or malformed.
    """
    return _fernet_key("QUARANTINE_KEY")


def vault_key() -> bytes:
    """The Fernet key of what the vault keeps.

    Raises:
        InputError: when it is missing or malformed.
    """
    return _fernet_key("VAULT_KEY")


def _fernet_key(name: str) -> bytes:
    from cryptography.fernet import Fernet

    from data_platform.settings import get_settings

    key: bytes = getattr(get_settings(), name.lower()).get_secret_value().encode()
    if not key:
        hint = "`make up` writes one into .env; what was written under an earlier one needs that one again"
        raise InputError(f"{name} is missing", hint=hint)
    try:
        Fernet(key)
    except ValueError:
        raise InputError(
            f"{name} is not a Fernet key", hint="bring back the one that was there, or remove it"
        ) from None
    return key


def derived_key(key: bytes, purpose: str) -> bytes:
    """A key of its own for one purpose: hashes for different purposes tell nothing of each other."""
    return hmac.digest(key, purpose.encode(), "sha256")


def normalise(value: str) -> str:
    """The form in which equal e-mail addresses, names and telephone numbers are equal."""
    text = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    return re.sub(r"\D", "", text) if TELEPHONE.fullmatch(text) and not _is_internet_address(text) else text


def _is_internet_address(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)  # also 192.168.11.0/24
    except ValueError:
        return False
    return True


def pseudonym(value: str, key: bytes) -> str:
    """128 bits of HMAC-SHA256 over the value's normal form, in hex."""
    return hmac.digest(key, normalise(value).encode(), "sha256").hex()[:PSEUDONYM_HEX]


def token(value: str, key: bytes) -> str:
    """What is published in the place of a value under the policy ``tokenise``.

    Args:
        key: derived from that of the pseudonyms, as ``token_key`` does.
    """
    return TOKEN + pseudonym(value, key)


def token_key(pseudonyms: bytes) -> bytes:
    """The key of tokens, from that of pseudonyms."""
    return derived_key(pseudonyms, "tokens")


def encrypter(key: bytes) -> Callable[[str], str]:
    """A function that turns text into a Fernet token."""
    from cryptography.fernet import Fernet

    fernet = Fernet(key)
    return lambda text: fernet.encrypt(text.encode()).decode()


def decrypt(token: bytes, key: bytes, *, name: str = "QUARANTINE_KEY") -> str:
    """The text of a Fernet token.

    Args:
        name: setting that the key stands in.

    Raises:
        InputError: when the key is not the one it was written with.
    """
    from cryptography.fernet import Fernet, InvalidToken

    try:
        return Fernet(key).decrypt(token).decode()
    except InvalidToken:
        raise InputError(f"the text was encrypted with another {name}", hint="restore that key in .env") from None


def batch_protector(
    hashed: Sequence[str], pseudonyms: bytes, raw_text: bytes, tokenised: Sequence[str] = ()
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Gives Arrow batches pseudonyms in the columns ``hashed``, tokens in ``tokenised``, and encrypts ``raw``.

    Make it once a task: it remembers the values that it has seen.

    Args:
        pseudonyms: key of the pseudonyms, and of the tokens' key.
        raw_text: key of the raw text.
    """
    tokens = token_key(pseudonyms)

    @lru_cache(maxsize=REMEMBERED)
    def remembered(text: str) -> str:
        return pseudonym(text, pseudonyms)

    @lru_cache(maxsize=REMEMBERED)
    def remembered_token(text: str) -> str:
        return token(text, tokens)

    encrypt = encrypter(raw_text)

    def protect(batch: pa.RecordBatch) -> pa.RecordBatch:
        for name in hashed:
            batch = map_column(batch, name, remembered)
        for name in tokenised:
            batch = map_column(batch, name, remembered_token)
        if batch.column("raw").null_count < batch.num_rows:
            batch = map_column(batch, "raw", encrypt)
        return batch

    return protect


def map_column(batch: pa.RecordBatch, name: str, change: Callable[[str], str]) -> pa.RecordBatch:
    """The batch with a column's texts changed; what is null stays so."""
    import pyarrow as pa

    values = [None if text is None else change(text) for text in batch.column(name).to_pylist()]
    return batch.set_column(batch.schema.get_field_index(name), name, pa.array(values, pa.string()))


def age_band_sql(birth: str, day: str) -> str:
    """Spark SQL of the age band that a birth date falls into on a day; both are expressions of type DATE."""
    age = f"floor(months_between({day}, {birth}) / 12)"
    bands = " ".join(f"WHEN {age} >= {lowest} THEN '{band}'" for lowest, band in reversed(AGE_BANDS))
    return f"CASE WHEN {birth} IS NULL OR {age} >= {OLDEST} THEN '{UNKNOWN}' {bands} ELSE '{UNKNOWN}' END"

"""Pseudonyms, raw text and age bands."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from cryptography.fernet import Fernet

from data_platform.failures import InputError
from data_platform.privacy import (
    batch_protector,
    decrypt,
    encrypter,
    hash_key,
    normalise,
    pseudonym,
    quarantine_key,
    token,
    token_key,
    vault_key,
)
from data_platform.settings import get_settings

KEY = bytes(range(32))


def test_pseudonym_is_hmac_sha256_of_rfc_4231_cut_to_128_bits() -> None:
    assert pseudonym("what do ya want for nothing?", b"Jefe") == "5bdcc146bf60754e6a042426089575c7"


def test_pseudonym_is_keyed() -> None:
    expected = hmac.new(KEY, b"ann@example.org", hashlib.sha256).hexdigest()[:32]
    assert pseudonym("ann@example.org", KEY) == expected
    assert pseudonym("ann@example.org", KEY[::-1]) != expected
    assert hashlib.sha256(b"ann@example.org").hexdigest()[:32] != expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@Example.org", " ann@example.org "),
        ("+1 (555) 010-2030", "1 555 010 20 30"),
        ("555-010-2030", "(555) 010.2030"),
        ("030/555 12 34", "0305551234"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("STRASSE", "straße"),
        ("\uff21nn", "Ann"),
        ("Ann  Example", "ann\texample"),
    ],
)
def test_writings_of_one_value_are_one_person(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("ann1@x.org", "ann2@x.org"), ("12-34", "1234"), ("", "0"), ("1997-01-02 A", "19970102A")),
        *(("192.168.1.12", "192.168.11.2"), ("10.0.0.11", "100.0.1.1"), ("192.168.11.0/24", "192.168.110.24")),
        *(("1990-11-1", "1990-1-11"), ("1/11/1990", "11/1/1990"), ("123-4567", "12-34567")),
        ("0.1.11.1.1.1", "0.11.1.1.1.1"),
    ],
)
def test_different_values_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_a_token_is_as_stable_as_a_pseudonym_and_tells_nothing_of_it() -> None:
    key = token_key(KEY)
    assert token("+1 (555) 010-2030", key) == token("1 555 010 20 30", key)
    assert token("ann1@x.org", key) != token("ann2@x.org", key)
    assert re.fullmatch(r"tok_[0-9a-f]{32}", token("ann@x.org", key))
    assert pseudonym("ann@x.org", KEY) not in token("ann@x.org", key)


def test_batches_hold_pseudonyms_and_encrypted_raw_text_only() -> None:
    raw_key = Fernet.generate_key()
    batch = pa.record_batch({"email": ["a@x.org", None, "A@X.org"], "raw": [None, "7,b@x.org", None], "n": [1, 2, 3]})

    safe = batch_protector(["email"], KEY, raw_key)(batch)

    hashes = safe.column("email").to_pylist()
    assert hashes == [pseudonym("a@x.org", KEY), None, hashes[0]]
    token = safe.column("raw").to_pylist()[1]
    assert decrypt(token.encode(), raw_key) == "7,b@x.org"
    assert safe.column("n").to_pylist() == [1, 2, 3]
    assert b"x.org" not in b"".join(b.to_pybytes() for c in safe.columns for b in c.buffers() if b)


def test_raw_text_of_another_key_says_so() -> None:
    token = encrypter(Fernet.generate_key())("secret").encode()
    with pytest.raises(InputError, match="another QUARANTINE_KEY"):
        decrypt(token, Fernet.generate_key())


@pytest.mark.parametrize("text", ["", "no hex", "00112233"])
def test_a_bad_hash_key_is_refused_without_showing_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, "PRIVACY_HASH_KEY", text)
    with pytest.raises(InputError, match="at least 32 hex digits") as error:
        hash_key()
    assert not text or text not in str(error.value)


@pytest.mark.parametrize(("text", "says"), [("", "is missing"), ("too short", "is not a Fernet key")])
@pytest.mark.parametrize(("name", "read"), [("QUARANTINE_KEY", quarantine_key), ("VAULT_KEY", vault_key)])
def test_a_bad_fernet_key_is_refused_without_showing_it(
    name: str, read: Callable[[], bytes], text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, name, text)
    with pytest.raises(InputError, match=f"{name} {says}") as error:
        read()
    assert not text or text not in str(error.value)


def _set(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("DP_ENV_FILE", "/nonexistent")
    monkeypatch.setenv(name, value)
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def _forget_settings() -> Iterator[None]:
    yield
    get_settings.cache_clear()

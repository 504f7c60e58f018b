"""What a worker makes of rows with plain values: safe rows, and notes for the ledger."""

from __future__ import annotations

import pyarrow as pa
import pytest
from cryptography.fernet import Fernet

from data_platform import privacy
from data_platform.privacy import pseudonym, token, token_key
from data_platform.vault_records import Kept, open_record
from spark_jobs.protection import NOTE, NOTE_LINE, PLAIN, Note, Protection, protect_rows, read_note

KEY, VAULT = bytes(range(32)), Fernet.generate_key()
PROTECTION = Protection(
    dataset="members",
    hashed=("phone_hash",),
    tokenised=("email_token",),
    redacted=("remark",),
    kept=(Kept("name", "name", False), Kept("email", None, True)),
    subject=None,
    pseudonyms=KEY,
    raw_text=VAULT,
    vault=VAULT,
    warehouse={},
)
NAMES = ["Ann Quill", "Bob Reed", None, "Ann Quill"]
EMAILS = ["ann@x.example", None, None, "ann@x.example"]


def batch(file_id: int) -> pa.RecordBatch:
    """Four rows of a file: the last but one is broken, and the last says what the first says."""
    texts = pa.string()
    return pa.record_batch(
        {
            "file_id": [file_id] * 4,
            "arrived_at": pa.array([0] * 4, pa.timestamp("us", tz="UTC")),
            "line": [2, 3, 4, 5],
            "rule": pa.array([None, None, "type", None], texts),
            "raw": pa.array([None, None, "3,ann@x.example", None], texts),
            NOTE: pa.array([None] * 4, texts),
            "phone_hash": pa.array(["030 5551234", None, None, None], texts),
            "email_token": pa.array(EMAILS, texts),
            "remark": pa.array(["write to ann@x.example", None, None, "order 10234"], texts),
            f"{PLAIN}name": pa.array(NAMES, texts),
            f"{PLAIN}email": pa.array(EMAILS, texts),
        }
    )


def taken(*batches: pa.RecordBatch) -> tuple[list[pa.RecordBatch], dict[int, Note]]:
    """Rows and notes by file."""
    made = list(protect_rows(batches, PROTECTION))
    rows = [b for b in made if b.column("line")[0].as_py() != NOTE_LINE]
    notes = {row["file_id"]: read_note(row[NOTE]) for b in made if b not in rows for row in b.to_pylist()}
    return rows, notes


def test_rows_leave_without_a_plain_value() -> None:
    (rows,), _ = taken(batch(1))
    assert not [name for name in rows.schema.names if name.startswith(PLAIN)]
    assert rows.column("phone_hash")[0].as_py() == pseudonym("030 5551234", KEY)
    assert rows.column("email_token").to_pylist() == [t := token("ann@x.example", token_key(KEY)), None, None, t]
    assert rows.column("remark").to_pylist() == ["write to <EMAIL>", None, None, "order 10234"]
    written = b"".join(
        b.to_pybytes() for made in protect_rows([batch(1)], PROTECTION) for c in made for b in c.buffers() if b
    )
    assert b"Quill" not in written
    assert b"x.example" not in written


def test_a_note_brings_each_record_once_and_names_it_for_each_file() -> None:
    _, notes = taken(batch(1), batch(2))
    assert [len(notes[file].records) for file in (1, 2)] == [2, 2]
    assert notes[1].records == notes[2].records == {record.number for record in notes[1].new}
    assert notes[2].new == []
    said = {record.number: open_record(record.sealed.encode(), VAULT) for record in notes[1].new}
    assert sorted(said.values()) == [
        [("name", "name", "Ann Quill"), ("email", None, "ann@x.example")],
        [("name", "name", "Bob Reed")],
    ]
    assert {record.tokens for record in notes[1].new} == {(), (token("ann@x.example", token_key(KEY)),)}


def test_equal_records_have_equal_numbers_in_any_task_and_under_no_other_key() -> None:
    here, there = taken(batch(1))[1][1], taken(batch(7))[1][7]
    assert here.records == there.records
    other = Protection(**{**vars(PROTECTION), "vault": Fernet.generate_key()})
    notes = [read_note(b.column(NOTE)[0].as_py()) for b in protect_rows([batch(1)], other) if b.num_rows == 1]
    assert notes[0].records.isdisjoint(here.records)


def test_two_batches_that_found_other_records_known_leave_none_behind() -> None:
    note = Note()
    for known in (5, 5, 6, 5):
        note.add_subject(1, known)
    note.add_subject(2, 0)
    assert note.subjects == {1: None, 2: 0}
    assert read_note(note.text()) == note


def test_a_task_makes_each_pseudonym_once_however_many_batches_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(value: str, key: bytes) -> str:
        made.append(value)
        return pseudonym(value, key)

    monkeypatch.setattr(privacy, "pseudonym", counted)
    (first, second), _ = taken(batch(1), batch(2))
    assert first.column("phone_hash") == second.column("phone_hash")
    assert made.count("030 5551234") == 1

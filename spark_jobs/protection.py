"""The last place that holds plain personal values: what leaves it may be shuffled, spilt, written and read.

Rows go through it as Arrow batches. Values become pseudonyms and tokens; free text is redacted, by what any text shows
and by what the vault knows of the row's subject, which a worker reads from the warehouse, a batch at a time; what the
vault is to keep is sealed. Beside a batch's rows come *notes*, a row for each of its deliveries: what it brings to the
vault and took from it, for the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from data_platform.privacy import REMEMBERED, batch_protector, hash_key, quarantine_key, vault_key
from data_platform.redaction.known import Known, Value
from data_platform.redaction.text import NOBODY, redact
from data_platform.vault_records import Findings, Kept, Record, Sealer, known_values

if TYPE_CHECKING:
    import pyarrow as pa

    from data_platform.contracts.model import Contract

# Columns of a row beside the contract's: no name in a contract begins so.
NOTE = "_note"
PLAIN = "_plain_"
NOTE_LINE = -1
SUBJECTS_AT_ONCE = 20_000
# What is ready to be looked for takes some 30 kB a person.
READY_AT_ONCE = 1_000


@dataclass(frozen=True)
class Protection:
    """What a worker needs to know of a dataset; keys, so nothing of it is shown."""

    dataset: str
    hashed: tuple[str, ...]
    tokenised: tuple[str, ...]
    redacted: tuple[str, ...]
    kept: tuple[Kept, ...]
    subject: str | None
    pseudonyms: bytes = field(repr=False)
    raw_text: bytes = field(repr=False)
    vault: bytes = field(repr=False)
    warehouse: Mapping[str, Any] = field(repr=False)

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.dataset, self.kept, subject=self.subject, key=self.vault, pseudonyms=self.pseudonyms)

    @property
    def uses_vault(self) -> bool:
        return bool(self.kept or (self.redacted and self.subject))


def protection_of(contract: Contract) -> Protection:
    """The protection that a contract asks for.

    Raises:
        InputError: when a key that it needs is missing or malformed.
    """
    from data_platform.settings import get_settings

    by_policy: dict[str, list[str]] = {}
    for column in contract.columns:
        if column.privacy and column.published:
            by_policy.setdefault(column.privacy.policy, []).append(column.published.name)
    kept = tuple(
        Kept(c.name, c.privacy.vault, c.privacy.policy == "tokenise") for c in contract.vaulted_columns if c.privacy
    )
    hashed, tokenised, redacted = (tuple(by_policy.get(p, ())) for p in ("hash", "tokenise", "redact"))
    uses_vault = bool(kept or (redacted and contract.subject))
    return Protection(
        contract.dataset,
        hashed,
        tokenised,
        redacted,
        kept,
        contract.subject,
        pseudonyms=hash_key() if hashed or tokenised else b"",
        raw_text=quarantine_key(),
        vault=vault_key() if uses_vault else b"",
        warehouse=get_settings().warehouse_parameters() if uses_vault else {},
    )


def plain_columns(contract: Contract) -> dict[str, str]:
    """Column that carries a plain value to this place, to the column of the delivery that has it."""
    return {f"{PLAIN}{c.name}": c.name for c in contract.vaulted_columns}


def protect_rows(batches: Iterable[pa.RecordBatch], protection: Protection) -> Iterator[pa.RecordBatch]:
    """Safe batches, each followed by one of notes where there is something to note; plain columns are gone."""
    notes = Notes(protection) if protection.uses_vault or protection.redacted else None
    protect = batch_protector(protection.hashed, protection.pseudonyms, protection.raw_text, protection.tokenised)
    for batch in batches:
        noted: dict[int, Note] = {}
        if notes:
            noted, batch = notes.take(batch)
        batch = batch.drop_columns([n for n in batch.schema.names if n.startswith(PLAIN)])
        yield protect(batch)
        if noted:
            yield _as_rows(noted, batch.schema)


@dataclass
class Note(Findings):
    """What a delivery's rows of a batch bring to the vault; ``new`` are records that no note has brought yet."""

    new: list[Record] = field(default_factory=list)

    def text(self) -> str:
        """The note as JSON."""
        new = [[r.number, r.dataset, r.subject, r.identifies, r.tokens, r.sealed] for r in self.new]
        return json.dumps([new, sorted(self.records), sorted(self.subjects.items())])


def read_note(text: str) -> Note:
    """The note that ``Note.text`` wrote."""
    new, records, subjects = json.loads(text)
    found = [
        Record(n, dataset, subject, known, tuple(tokens), sealed) for n, dataset, subject, known, tokens, sealed in new
    ]
    return Note(set(records), dict(subjects), found)


class Notes:
    """Redacts batches and seals what the vault keeps; remembers what it has sealed, and whom it has asked for."""

    def __init__(self, protection: Protection) -> None:
        self._of, self._sealer = protection, protection.sealer if protection.uses_vault else None
        self._sealed: set[int] = set()
        self._values: dict[int, tuple[list[Value], int]] = {}
        self._known = lru_cache(READY_AT_ONCE)(self._made_ready)
        if self._sealer:
            self._subject_number = lru_cache(REMEMBERED)(self._sealer.subject_number)
            self._content_number = lru_cache(REMEMBERED)(self._numbered)

    def take(self, batch: pa.RecordBatch) -> tuple[dict[int, Note], pa.RecordBatch]:
        """File to its note, and the batch with its free text redacted."""
        live = _live_rows(batch)
        noted: dict[int, Note] = {}
        subjects: list[int | None] = [None] * batch.num_rows
        files = batch.column("file_id").to_pylist()
        if self._sealer and self._of.subject:
            subjects = [self._subject_number(value) for value in batch.column(self._of.subject).to_pylist()]
        if self._of.kept:
            values = [batch.column(f"{PLAIN}{kept.column}").to_pylist() for kept in self._of.kept]
            for row in live:
                self._keep(subjects[row], tuple(of_row[row] for of_row in values), noted, files[row])
        if self._of.redacted:
            batch = self._redacted(batch, live, subjects, noted, files)
        return noted, batch

    def _keep(self, subject: int | None, values: tuple[str | None, ...], noted: dict[int, Note], file_id: int) -> None:
        assert self._sealer
        number = self._content_number(subject, values)
        if number is None:
            return
        note = noted.setdefault(file_id, Note())
        note.records.add(number)
        if number not in self._sealed:
            self._sealed.add(number)
            content = self._sealer.content(values)
            assert content is not None
            note.new.append(self._sealer.seal(subject, values, content, number))

    def _numbered(self, subject: int | None, values: tuple[str | None, ...]) -> int | None:
        assert self._sealer
        content = self._sealer.content(values)
        return None if content is None else self._sealer.number(subject, content)

    def _redacted(
        self,
        batch: pa.RecordBatch,
        live: list[int],
        subjects: list[int | None],
        noted: dict[int, Note],
        files: list[int],
    ) -> pa.RecordBatch:
        import pyarrow as pa

        self._ask_for({subject for row in live if (subject := subjects[row]) is not None})
        arrived: list[datetime] = batch.column("arrived_at").to_pylist()
        for name in self._of.redacted:
            texts = batch.column(name).to_pylist()
            for row in live:
                if (text := texts[row]) is None:
                    continue
                subject = subjects[row]
                known, total = self._known(subject) if subject is not None else (NOBODY, 0)
                if subject is not None:
                    noted.setdefault(files[row], Note()).add_subject(subject, total)
                texts[row], since = redact(text, known)
                # A text reads so only since that was known which is taken out of it.
                arrived[row] = max(arrived[row], since) if since else arrived[row]
            at = batch.schema.get_field_index(name)
            batch = batch.set_column(at, name, pa.array(texts, pa.string()))
        at = batch.schema.get_field_index("arrived_at")
        times = pa.array(arrived, batch.schema.field(at).type)
        return batch.set_column(at, batch.schema.field(at), times)

    def _ask_for(self, subjects: set[int]) -> None:
        """Reads what the vault knows of these subjects, unless it was read for an earlier batch."""
        from data_platform.causes import explained
        from data_platform.vault import known_records
        from data_platform.warehouse.connection import connect

        if len(self._values) > SUBJECTS_AT_ONCE:
            self._values.clear()
            self._known.cache_clear()
        unasked = subjects - self._values.keys()
        if not unasked:
            return
        with explained(), closing(connect(self._of.warehouse, application="dp redact")) as connection:
            found = known_records(connection, unasked)
        for subject in unasked:
            records = found.get(subject, [])
            values = [v for r in records for v in known_values(r.sealed, self._of.vault, r.arrived_at)]
            self._values[subject] = values, sum(r.record for r in records)

    def _made_ready(self, subject: int) -> tuple[Known, int]:
        values, total = self._values[subject]
        return Known(values), total


def _live_rows(batch: pa.RecordBatch) -> list[int]:
    lines, rules = batch.column("line").to_pylist(), batch.column("rule").to_pylist()
    return [row for row, (line, rule) in enumerate(zip(lines, rules, strict=True)) if line > 0 and rule is None]


def _as_rows(noted: Mapping[int, Note], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    given = {
        "file_id": list(noted),
        "line": [NOTE_LINE] * len(noted),
        NOTE: [note.text() for note in noted.values()],
    }
    columns = [pa.array(given.get(f.name, [None] * len(noted)), f.type) for f in schema]
    return pa.record_batch(columns, schema=pa.schema([f.with_nullable(True) for f in schema]))

"""A draft as a contract file for people to read: in the order of the reference, with what to review beside it."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import yaml

from data_platform.contracts.load import LOADER
from data_platform.contracts.model import Contract
from data_platform.contracts.odcs import SUFFIX, Document
from data_platform.contracts.quoting import scalar
from data_platform.scaffold.draft import Draft, DraftColumn
from data_platform.scaffold.names import in_words
from data_platform.scaffold.personal import is_word
from data_platform.scaffold.reading import UNKNOWN

MOST_WORDS, FEWEST_OF_WORD = 8, 5


def contract_path(source: str, dataset: str) -> Path:
    """Where the contract of a source's dataset stands, below contracts/."""
    return Path("sources") / source / f"{dataset}{SUFFIX}"


def parse(text: str, draft: Draft) -> Contract:
    """The contract as the platform will read it."""
    return Document.model_validate(yaml.load(text, LOADER)).to_contract(  # noqa: S506 - a safe loader
        contract_path(draft.source, draft.dataset)
    )


def write(draft: Draft) -> str:
    """The contract's YAML."""
    return "\n".join(_lines(draft)) + "\n"


def _lines(draft: Draft) -> Iterator[str]:
    yield f"# Drafted by `dp new dataset` from {draft.sampled}."
    yield "# review: what follows each such word, and the descriptions, made of names; then say status: active."
    for remark in draft.remarks:
        yield f"# review: {_comment(remark)}"
    yield "apiVersion: v3.1.0"
    yield "kind: DataContract"
    yield f"id: {scalar(draft.dataset)}"
    yield f"name: {scalar(in_words(draft.dataset))}"
    yield "version: 0.1.0"
    yield "status: draft"
    yield f"domain: {scalar(draft.source)}"
    yield "description:"
    yield f"  purpose: {in_words(draft.dataset)} as {draft.source} delivers them.  # review: what are they for?"
    yield "team:"
    yield f"  name: {scalar(draft.source)}"
    yield "  members:"
    yield f"    - username: {draft.source}@example.com  # review: an address that answers"
    yield "      role: owner"
    yield from _server(draft)
    yield "schema:"
    yield f"  - name: {scalar(draft.dataset)}"
    yield "    physicalType: table"
    yield f"    dataGranularityDescription: {_grain(draft)}"
    if draft.repeated_rows:
        yield f"    # {draft.repeated_rows:,} rows equal another row, and count: there is no key."
    elif not draft.key:
        yield "    # review: no column, nor two or three that look like a key's, tell all rows apart."
    yield "    properties:"
    for column in draft.columns:
        yield from _column(column)
    yield "slaProperties:"
    yield f"  - {{property: frequency, value: {draft.frequency_days}, unit: d}}  # review: also freshness and retention"
    yield "customProperties:"
    yield from _ours(draft)


def _server(draft: Draft) -> Iterator[str]:
    yield "servers:"
    if draft.kind == "table":
        schema = draft.location.partition(".")[0]
        yield "  - server: warehouse"
        yield "    type: postgres"
        yield "    host: 127.0.0.1  # the address is in the setting SOURCE_URLS"
        yield "    port: 5432"
        yield f"    database: {draft.source}"
        yield f"    schema: {scalar(schema)}"
        return
    yield "  - server: landing"
    yield "    type: local"
    yield f"    path: {scalar(draft.location)}"
    yield f"    format: {draft.form}"


def _grain(draft: Draft) -> str:
    if not draft.key:
        return "one row a line of the delivery" + (" and extract day" if draft.kind == "snapshot" else "")
    of = " and ".join(name.replace("_", " ") for name in draft.key)
    return f"one row a {of}" + (" and extract day" if draft.kind == "snapshot" else "")


def _column(column: DraftColumn) -> Iterator[str]:
    for remark in column.remarks:
        yield f"      # review: {_comment(remark)}"
    if column.personal:
        yield f"      # review: personal, as {_comment(column.personal.why)}"
    yield f"      - name: {scalar(column.name)}"
    if column.path != column.name:
        yield f"        physicalName: {scalar(column.path)}"
    yield f"        logicalType: {column.kind.logical}"
    yield f"        physicalType: {column.kind.physical}"
    if column.in_key:
        yield "        primaryKey: true"
    if column.required:
        yield "        required: true"
    if column.personal:
        yield "        classification: personal"
    yield f"        description: {scalar(_description(column))}"
    if column.kind.format:
        yield f"        logicalTypeOptions: {{format: {scalar(column.kind.format)}}}"
    if column.personal or column.holds_unknown:
        yield "        customProperties:"
    if column.personal:
        policy = column.personal.policy
        value = policy if isinstance(policy, str) else "{generalise: age_band}"
        yield f"          - {{property: privacy, value: {value}}}"
    if column.holds_unknown:
        yield "          - {property: holds, value: unknown_fields}"


def _description(column: DraftColumn) -> str:
    if column.name == UNKNOWN:
        return "What the source sends beside, as JSON."
    words = _words(column)
    return f"{in_words(column.name)}{': ' if words else ''}{', '.join(words)}."


def _words(column: DraftColumn) -> list[str]:
    """The values of a column that has a few, each often; of nobody's data."""
    counts = column.found.counts
    if column.personal or column.is_free or column.kind.physical != "text" or not counts or len(counts) > MOST_WORDS:
        return []
    often = all(n >= FEWEST_OF_WORD and is_word(word) for word, n in counts.items())
    return sorted(counts) if often else []


def _ours(draft: Draft) -> Iterator[str]:
    yield f"  # {_comment(draft.why_day)}"
    yield f"  - {{property: datasetKind, value: {draft.kind}}}"
    if draft.day:
        yield f"  - {{property: eventDay, value: {scalar(draft.day)}}}"
    else:
        yield "  - {property: extractDay, value: path}"
    if draft.cursor:
        table = draft.location.partition(".")[2]
        yield f"  - {{property: extract, value: {{table: {scalar(table)}, cursor: {scalar(draft.cursor)}}}}}"
    yield "  - {property: arrivalDelay, value: 6h}  # review: how long after a day's end are its rows there?"
    if broken := sum(draft.broken.values()):
        share = ceil(100 * broken / (broken + draft.rows)) / 100
        yield f"  - {{property: toleratedBrokenShare, value: {share}}}  # review: {broken:,} of these rows are broken"
    if dialect := _dialect(draft):
        yield "  - property: dialect"
        yield f"    value: {{{', '.join(f'{key}: {value}' for key, value in dialect.items())}}}"


def _dialect(draft: Draft) -> dict[str, str]:
    of = draft.dialect
    nulls = "[" + ", ".join(scalar(text) for text in of.null_values) + "]"
    packed = {} if of.compression == "infer" else {"compression": of.compression}
    if draft.kind == "table":
        return {}
    if draft.form != "csv":
        encoding = {"encoding": of.encoding} if draft.form == "json" and of.encoding != "utf-8" else {}
        return encoding | ({"nullValues": nulls} if of.null_values else {}) | (packed if draft.form == "json" else {})
    quote = "null" if of.quote is None else scalar(of.quote)
    found = {
        "separator": scalar(of.separator),
        "header": str(of.header).lower(),
        "encoding": of.encoding,
        "quote": quote,
    }
    found |= {"decimal": scalar(of.decimal)}
    return found | ({"nullValues": nulls} if of.null_values != ("",) else {}) | packed


def _comment(text: str) -> str:
    return " ".join(text.split())

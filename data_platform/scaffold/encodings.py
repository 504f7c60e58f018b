"""The encoding of text, from all that is read of it: one `£` among a million lines tells."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from data_platform.failures import InputError
from data_platform.scaffold.samples import Sample, chunks_of

BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8"}
TELLING_BYTES = 64 << 10
TELLING_LINE = re.compile(rb"[^\n]{0,200}[\x80-\xff][^\n]{0,200}")
# What stands in western texts beside ASCII; other encodings' letters look like anything else.
RARE = set("\xd0\xf0\xde\xfe\xd7\xf7\xac\xa6\xa8\xaf\xb8\xb6\u0192\u02c6\u02dc")
WESTERN = set(bytes(range(0x80, 0x100)).decode("cp1252", "ignore")) - RARE
WORD = re.compile(r"[^\W\d_]{2,}")
MOST_OF_A_WORD = 0.5
MOST_TORN = 0.25  # of what is beyond ASCII: texts of other encodings are hardly ever UTF-8
NO_CHARACTER = "\ufffd"
CONTROLS = set(range(32)) - set(b"\t\n\r\f\x1f")
OTHERS = [
    "cp1250",
    "cp1251",
    "cp1252",
    "latin_1",
    "koi8_r",
    "shift_jis",
    "euc_jp",
    "euc_kr",
    "gb18030",
    "big5",
    "cp1253",
    "cp1254",
]


def detect_encoding(sample: Sample) -> tuple[str, list[str]]:
    """The encoding that all files have, as contracts name it, and what a person should know of it.

    Raises:
        InputError: when they are no text, or differ.
    """
    found = {file: _of_bom(file, sample) for file in sample.read}
    first = found[sample.read[0]]
    if other := next((file for file, encoding in found.items() if encoding != first), None):
        raise InputError(
            f"{sample.read[0]} is {first or 'no UTF-16'}, {other} is {found[other] or 'no UTF-16'}",
            hint="name files of one encoding",
        )
    if first:
        return first, []
    telling = bytearray()
    torn = [file for file in sample.read if _take_telling(file, sample, telling)]
    if not torn:
        return "utf-8", []
    beyond = [character for character in telling.decode("utf-8", "replace") if not character.isascii()]
    if beyond.count(NO_CHARACTER) <= MOST_TORN * len(beyond):
        return "utf-8", [f"{torn[0].name} is UTF-8 but for some of its bytes: rows that hold them are broken"]
    return _of_bytes(bytes(telling)), []


def _of_bom(file: Path, sample: Sample) -> str:
    """``utf-16…`` where a file begins so, else an empty text."""
    head = next(iter(chunks_of(file, sample.compression, 4096)), b"")
    if encoding := next((name for bom, name in BOMS.items() if head.startswith(bom) and name != "utf-8"), ""):
        return encoding
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):  # of ASCII every other byte is NUL
        if head[start::2].count(0) > MOST_OF_A_WORD * len(head) // 2:
            return name
    if (controls := sum(byte in CONTROLS for byte in head)) > len(head) // 50:
        raise InputError(
            f"{file} is neither text nor Parquet nor ORC: of {len(head)} bytes {controls} are control characters",
            hint="ask the source for delimited text, JSON, Parquet or ORC",
        )
    return ""


def _take_telling(file: Path, sample: Sample, telling: bytearray) -> bool:
    """Adds lines of a file that is not UTF-8, which tell what it is, to ``telling``; whether it is such a file."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest: list[bytes] = []
    sound = True
    for chunk in chunks_of(file, sample.compression, sample.bytes_a_file):
        if sound:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                sound = False
        if not chunk.isascii() and len(telling) < TELLING_BYTES:
            rest.append(chunk)
    for chunk in [] if sound else rest:
        for line in TELLING_LINE.findall(chunk):
            telling += line + b"\n"
            if len(telling) >= TELLING_BYTES:
                return True
    return not sound


def _of_bytes(telling: bytes) -> str:
    """A one-byte encoding of western texts where it makes sense of them, else what fits best."""
    try:
        text = telling.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    beside = [character for character in text if not character.isascii()]
    words = [w for w in WORD.findall(text) if not w.isascii()]
    foreign = sum(sum(not c.isascii() for c in word) > MOST_OF_A_WORD * len(word) for word in words)
    if text and set(beside) <= WESTERN and foreign <= len(words) // 4:
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(telling, cp_isolation=OTHERS).best()
    return best.encoding.replace("_", "-") if best else "latin-1"

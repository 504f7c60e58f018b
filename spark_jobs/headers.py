"""The header of a delimited file: where it ends, and which names stand in it."""

from __future__ import annotations

from dataclasses import dataclass

from spark_jobs.records import Incomplete, Layout, UnreadableFileError, is_blank, line_end, split_record


@dataclass(frozen=True)
class Header:
    """Names as they stand in a file, without blanks around them, and the position after them."""

    names: tuple[str, ...]
    end: int


def find_header(buffer: bytes, layout: Layout, name: str, *, final: bool) -> Header | None:
    """The header, or None while it is not all there.

    Raises:
        UnreadableFileError: when there is none, or its quoting is broken.
    """
    position = 0
    while position < len(buffer):
        end = line_end(buffer, position)
        if not is_blank(buffer, position, end, layout):
            try:
                fields, end, is_sound = split_record(buffer, position, layout, final=final)
            except Incomplete:
                return None
            if not final and end == len(buffer) and not buffer.endswith(b"\n"):
                return None
            if not is_sound:
                raise UnreadableFileError(
                    f"{name}:1: the header differs from the contract; its quoting is broken",
                    hint="correct the file, or the dialect in the contract",
                )
            return Header(tuple(_text(field) for field in fields), end)
        position = end
    if not final:
        return None
    raise UnreadableFileError(
        f"{name} is empty, not even a header", hint="ask the source to deliver it again, or withdraw it"
    )


def _text(field: bytes) -> str:
    return field.decode(errors="backslashreplace").replace("\0", r"\x00").strip()

"""The header of a delimited file: where it ends, and how it differs from the contract."""

from __future__ import annotations

from spark_jobs.records import Incomplete, Layout, Record, UnreadableFileError, is_blank, line_end, read_record


def find_header(buffer: bytes, layout: Layout, name: str, *, final: bool) -> int | None:
    """Position after the header, or None while it is not all there.

    Raises:
        UnreadableFileError: when the header is not the contract's.
    """
    position = 0
    while position < len(buffer):
        end = line_end(buffer, position)
        if not is_blank(buffer, position, end, layout):
            try:
                record = read_record(buffer, position, layout, final=final)
            except Incomplete:
                return None
            _check_header(buffer[position : record.end], record, layout, name)
            return record.end
        position = end
    if not final:
        return None
    raise UnreadableFileError(
        f"{name} is empty, not even a header", hint="ask the source to deliver it again, or withdraw it"
    )


def _check_header(text: bytes, record: Record, layout: Layout, name: str) -> None:
    found = _rough_fields(text, layout) if record.error else record.fields or ()
    names = [(field or "").strip() for field in found]
    if not record.error and tuple(names) == layout.columns:
        return
    missing = [column for column in layout.columns if column not in names]
    # Where the header is missing, the first line holds values; those of a confidential dataset are not shown.
    shown = [n if n in layout.columns or not layout.confidential else "(not shown)" for n in names]
    unknown = [s for n, s in zip(names, shown, strict=True) if n not in layout.columns]
    differences = [
        f"missing: {', '.join(missing)}" if missing else "",
        f"not in the contract: {', '.join(unknown)}" if unknown else "",
        "its quoting is broken" if record.error == "quote" else "",
        "" if missing or unknown or record.error else "the order differs, or a name stands twice",
    ]
    raise UnreadableFileError(
        f"{name}:1: the header differs from the contract; {'; '.join(filter(None, differences))}"
        f" (found: {', '.join(shown)}; contract: {', '.join(layout.columns)})",
        hint="correct the file, or change the contract's columns if the source has changed",
    )


def _rough_fields(text: bytes, layout: Layout) -> list[str]:
    line = text.decode(errors="backslashreplace").strip("\r\n")
    return [f.strip(layout.quote or "") if layout.quote else f for f in line.split(layout.separator)]

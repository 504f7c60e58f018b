"""Forms that settings must have. A check returns what is wrong, in words that follow the setting's name, or nothing."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

# Schemes that Spark (with a connector), pyarrow and deltalake all know.
OBJECT_STORES = ("s3", "gs", "abfss")
OF_OTHERS = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}
MASTER = re.compile(r"local(\[(\*|[1-9]\d*)(,\d+)?\])?|spark://[^\s/:,]+:\d+(,[^\s/:,]+:\d+)*")


def parts_of(url: str) -> SplitResult | None:
    """The parts of an address, or None where it is none; what Python says of such a one may show its password."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # may be no number
    except ValueError:
        return None
    return parts


def wrong_database(url: str) -> str:
    """Whether an address of a database can be used; what a driver says of it may show its password."""
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    usable = names_a_database(url)
    try:
        parse_dsn(url)
    except ProgrammingError:
        usable = False
    return "" if usable else "must look like postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def names_a_database(url: str) -> bool:
    """Whether an address has PostgreSQL's scheme, a host, and the name of a database."""
    parts = parts_of(url)
    if not parts:
        return False
    return parts.scheme in {"postgresql", "postgres"} and bool(parts.hostname) and bool(parts.path.strip("/"))


def same_server(url: str, other: str) -> bool:
    """Whether two addresses name one server."""
    one, two = urlsplit(url), urlsplit(other)
    return (one.hostname, one.port or 5432) == (two.hostname, two.port or 5432)


def without_scheme(url: str) -> str:
    """The path that a ``file://`` address means; others stay as they are."""
    return unquote(urlsplit(url).path) if url.startswith("file:///") else url


def wrong_folder(url: str) -> str:
    """A folder of this machine, by its path or as ``file:///…``."""
    if url.startswith("file://") and not url.startswith("file:///"):
        return "must look like file:///FOLDER, with three slashes"
    path = without_scheme(url)
    if "://" in path:
        return "must be a folder: deliveries are read as files, so mount or copy what lies in an object store"
    if not Path(path).is_absolute():
        return "must be an absolute path, or file:///FOLDER"
    return ""


def wrong_lake(url: str) -> str:
    """A folder, or an address of an object store."""
    scheme, _, _ = url.partition("://")
    if scheme in OF_OTHERS:
        return f"must be written {OF_OTHERS[scheme]}://…, which all readers of the lake understand"
    if scheme in OBJECT_STORES:
        parts = parts_of(url)
        if not parts or not parts.hostname:
            return f"must look like {scheme}://BUCKET/FOLDER"
        # What stands before the @ of an abfss address is its container.
        holds_more = parts.password is not None or (parts.username and scheme != "abfss") or parts.query
        return "must not hold credentials; who reads the lake takes them from the environment" if holds_more else ""
    if "://" in url and scheme != "file":
        return f"must be a folder, or begin with one of {', '.join(f'{s}://' for s in OBJECT_STORES)}"
    return wrong_folder(url)


def wrong_master(master: str) -> str:
    """A Spark in the process that asks for it, or a standalone cluster."""
    return "" if MASTER.fullmatch(master) else "must be local[N], local[*] or spark://HOST:PORT"


def wrong_remote(remote: str) -> str:
    """A Spark Connect server."""
    parts = parts_of(remote)
    if not parts or parts.scheme != "sc" or not parts.hostname or not parts.port:
        return "must look like sc://HOST:PORT"
    return "must not hold a token; set SPARK_CONNECT_TOKEN" if "token=" in parts.path else ""

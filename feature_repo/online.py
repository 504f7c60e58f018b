"""Brings Feast's online store to the published state: of each entity its newest row, or nothing where it has none.

Feast's own ``materialize`` takes the newest row *within a range of event time*. After a correction that may be an older
row than the one online, and it never removes anything. So the newest rows are read here, over all of an entity's
history, by one statement; Feast's store writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from psycopg2 import sql

from data_platform.warehouse.connection import Connection, execute, query
from feature_repo.store import project, view_definitions

if TYPE_CHECKING:
    import pandas as pd
    from feast import FeatureStore

ONLINE_SCHEMA = "online"
BATCH = 10_000
KEY_VERSION = 3  # entity_key_serialization_version of feature_store.template.yaml
# As Feast's store reads them: it has no decimals, and of times only seconds.
CASTS = {"Float64": "double precision", "UnixTimestamp": "timestamptz"}
PANDAS_TYPES = {"Int32": "Int32", "Int64": "Int64", "Float64": "Float64", "Bool": "boolean", "String": "string"}


@dataclass(frozen=True)
class Target:
    """A view's table in the warehouse and its table in the online store.

    Args:
        definition: of the view, as ``feature_definitions`` gives it.
        online_table: name in schema ``online``.
    """

    definition: dict[str, Any]
    online_table: str

    @property
    def view(self) -> str:
        return str(self.definition["name"])

    @property
    def source(self) -> sql.Identifier:
        return sql.Identifier(*self.definition["table"].split("."))

    @property
    def history(self) -> sql.Identifier:
        schema, table = self.definition["table"].split(".")
        return sql.Identifier(schema, f"{table}_history")

    @property
    def online(self) -> sql.Identifier:
        return sql.Identifier(ONLINE_SCHEMA, self.online_table)

    @property
    def key(self) -> sql.Identifier:
        """The entity's column. Views have one: ``view_definitions`` refuses others."""
        return sql.Identifier(self.definition["join_keys"][0])

    @property
    def fingerprint(self) -> str:
        """Changes when a feature comes, goes or changes its type: all entities must be written anew then."""
        fields = sorted(f"{field['name']} {field['dtype']}" for field in self.definition["fields"])
        return hashlib.sha256("\n".join(fields).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Written:
    """Entities of one view that were written to and deleted from the online store."""

    view: str
    written: int
    deleted: int

    @property
    def changed(self) -> int:
        return self.written + self.deleted


def targets() -> list[Target]:
    """All views, by name.

    Raises:
        InputError: when a contract describes no view that Feast can have.
    """
    name = project()
    return [Target(definition, f"{name}_{definition['name']}") for definition in view_definitions()]


def is_published(connection: Connection, target: Target) -> bool:
    """Whether the view's table is there; a contract is, before its first publication."""
    rows = query(connection, "select to_regclass(%s) is not null as there", (target.definition["table"],))
    return bool(rows[0]["there"])


def is_filled(connection: Connection, target: Target) -> bool:
    """Whether the online table was once filled whole with the features that the view has now."""
    rows = query(
        connection,
        "select obj_description(to_regclass(%s), 'pg_class') as mark",
        (f'"{ONLINE_SCHEMA}"."{target.online_table}"',),
    )
    return (rows[0]["mark"] or "").endswith(target.fingerprint)


def touched_entities(connection: Connection, target: Target, publications: Sequence[int]) -> list[Any]:
    """Entities with a row that one of the publications inserted, changed or deleted."""
    statement = sql.SQL("select distinct {key} as entity from {history} where publication_id = any(%s)")
    found = query(connection, statement.format(key=target.key, history=target.history), (list(publications),))
    return [row["entity"] for row in found]


def entities_since(connection: Connection, target: Target, day: date) -> list[Any]:
    """Entities with a row whose event time is on ``day`` or later."""
    statement = sql.SQL("select distinct {key} as entity from {source} where {event_at} >= %s").format(
        key=target.key, source=target.source, event_at=sql.Identifier(target.definition["timestamp_field"])
    )
    return [row["entity"] for row in query(connection, statement, (day,))]


def bring_up(
    connection: Connection, store: FeatureStore, target: Target, entities: Sequence[Any] | None = None
) -> Written:
    """Writes the newest row of each of these entities online, and deletes those that have none; all if None.

    Args:
        connection: of role ``platform``, in the transaction whose snapshot is to be online.
        entities: values of the entity's key.
    """
    written: list[Any] = []
    times: list[datetime] = []
    for rows in _newest_rows(connection, target, entities):
        store.write_to_online_store(target.view, rows)
        written += rows[target.definition["join_keys"][0]].tolist()
        times += rows[target.definition["timestamp_field"]].agg(["min", "max"]).tolist()
    if times:  # for those who look into the registry; nothing of ours reads it
        view = store.get_feature_view(target.view)
        store.registry.apply_materialization(view, store.project, min(times), max(times))
    if entities is None:
        deleted = _delete(connection, target, "not in", written)
        _mark_filled(connection, target)
    else:
        deleted = _delete(connection, target, "in", set(entities) - set(written))
    return Written(target.view, len(written), deleted)


def _newest_rows(connection: Connection, target: Target, entities: Sequence[Any] | None) -> Iterator[pd.DataFrame]:
    """Frames of at most ``BATCH`` entities with join key, features and both times; no row without any value."""
    import pandas as pd

    definition = target.definition
    times = [definition["timestamp_field"], definition["created_timestamp_column"]]
    dtypes = {name: PANDAS_TYPES.get(dtype) for name, dtype in _columns(definition)}
    statement = sql.SQL(
        """select {columns}, {times} from (
               select distinct on ({key}) * from {source} {only} order by {key}, {event_at} desc, {known_at} desc
           ) as newest
           where num_nonnulls({features}) > 0"""
    ).format(
        columns=sql.SQL(", ").join(_as_feast_reads(name, dtype) for name, dtype in _columns(definition)),
        times=sql.SQL(", ").join(map(sql.Identifier, times)),
        features=sql.SQL(", ").join(sql.Identifier(f["name"]) for f in definition["fields"]),
        key=target.key,
        source=target.source,
        only=sql.SQL("") if entities is None else sql.SQL("where {} = any(%(entities)s)").format(target.key),
        event_at=sql.Identifier(times[0]),
        known_at=sql.Identifier(times[1]),
    )
    with connection.cursor(name="newest_rows") as cursor:
        cursor.execute(statement, {"entities": list(entities or ())})
        while rows := cursor.fetchmany(BATCH):
            frame = pd.DataFrame(rows, columns=[*dtypes, *times])
            yield frame.astype({name: dtype for name, dtype in dtypes.items() if dtype})


def _columns(definition: dict[str, Any]) -> list[tuple[str, str]]:
    keys = zip(definition["join_keys"], definition["join_key_types"], strict=True)
    return [*keys, *((field["name"], field["dtype"]) for field in definition["fields"])]


def _as_feast_reads(name: str, dtype: str) -> sql.Composable:
    column = sql.Identifier(name)
    return sql.SQL("{}::" + CASTS[dtype] + " as {}").format(column, column) if dtype in CASTS else column


def _delete(connection: Connection, target: Target, which: Literal["in", "not in"], entities: Collection[Any]) -> int:
    """Deletes entities online: Feast has no call for it, so this knows how its Postgres store names keys."""
    statement = sql.SQL(
        """with gone as (
               delete from {online} where entity_key {which} (select unnest(%s::bytea[])) returning entity_key
           )
           select count(distinct entity_key) as n from gone"""
    ).format(online=target.online, which=sql.SQL(which))
    return int(query(connection, statement, (_entity_keys(target, list(entities)),))[0]["n"])


def _entity_keys(target: Target, entities: list[Any]) -> list[bytes]:
    """Entities as Feast's Postgres store writes them."""
    import feast.types
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values

    (join_key,), (dtype,) = target.definition["join_keys"], target.definition["join_key_types"]
    values = python_values_to_proto_values(entities, getattr(feast.types, dtype).to_value_type())
    keys = (EntityKey(join_keys=[join_key], entity_values=[value]) for value in values)
    return [serialize_entity_key(key, entity_key_serialization_version=KEY_VERSION) for key in keys]


def _mark_filled(connection: Connection, target: Target) -> None:
    comment = f"Newest row of each entity of {target.definition['table']}; filled with features {target.fingerprint}"
    execute(connection, sql.SQL("comment on table {} is %s").format(target.online), (comment,))

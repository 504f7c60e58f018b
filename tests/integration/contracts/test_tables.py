"""What Postgres makes of compiled DDL and grants."""

from collections.abc import Iterator
from pathlib import Path

import psycopg2.errors
import pytest

from data_platform.contracts.compile.ddl import alter_table, create_table
from data_platform.contracts.compile.grants import ROLES, grants
from data_platform.contracts.document import contract_document, contract_hash
from data_platform.contracts.load import get_contracts
from data_platform.contracts.model import Contract
from data_platform.contracts.published import published_contracts
from data_platform.failures import InputError
from data_platform.warehouse.connection import Connection, execute, open_connection, query, transaction
from data_platform.warehouse.tables import ensure_tables
from tests.conftest import Platform
from tests.unit.contracts.examples import FEATURES, ORDERS, changed, contract_of

pytestmark = pytest.mark.integration

RANK = """\
      - name: rank
        logicalType: integer
        physicalType: bigint
        description: Rank of the buyer.
"""
COLUMNS = """
select column_name, case when data_type = 'numeric'
           then format('numeric(%%s,%%s)', numeric_precision, numeric_scale) else data_type end as type,
       is_nullable = 'NO' as required
from information_schema.columns where table_schema || '.' || table_name = %s order by ordinal_position
"""


@pytest.fixture
def connection(platform: Platform) -> Iterator[Connection]:
    with transaction() as opened:
        yield opened


def columns_of(connection: Connection, table: str) -> dict[str, tuple[str, bool]]:
    return {row["column_name"]: (row["type"], row["required"]) for row in query(connection, COLUMNS, (table,))}


def test_a_table_is_what_its_contract_says(connection: Connection, tmp_path: Path) -> None:
    contract = contract_of(tmp_path)
    execute(connection, create_table(contract))
    execute(connection, create_table(contract))  # again: no error, no change
    assert columns_of(connection, "raw.orders") == {
        "row_id": ("uuid", True),
        "order_no": ("text", True),
        "ordered_on": ("date", True),
        "amount_usd": ("numeric(8,2)", False),
        "note": ("text", False),
        "channel": ("text", True),
        "email_hash": ("text", False),
        "age_band": ("text", False),
        "gender": ("text", False),
        "known_at": ("timestamp with time zone", True),
    }
    assert indexes_of(connection, "raw.orders") == {"(row_id)", "(ordered_on)"}
    comments = query(
        connection,
        "select obj_description('raw.orders'::regclass) as t, col_description('raw.orders'::regclass, 2) as c",
    )
    assert comments == [
        {"t": "What was ordered. Grain: one row an order. Owner: till@shop.example.", "c": "Number of the order."}
    ]


def indexes_of(connection: Connection, table: str) -> set[str]:
    rows = query(
        connection,
        "select substring(pg_get_indexdef(indexrelid) from '[(].*$') as on from pg_index where indrelid = %s::regclass",
        (table,),
    )
    return {row["on"] for row in rows}


def test_every_contract_of_the_project_makes_its_table(connection: Connection) -> None:
    for contract in get_contracts():
        execute(connection, create_table(contract) + grants(contract))
        expected = [column.name for column in contract.published_columns]
        own = ["row_id"] if contract.layer == "sources" else []
        assert list(columns_of(connection, contract.table)) == [*own, *expected, "known_at"]
        led_by = {index.strip("()").split(",")[0] for index in indexes_of(connection, contract.table)}
        assert {contract.day_column, contract.unit_column} <= led_by


def test_a_keyed_table_is_found_by_unit_and_by_day(connection: Connection, tmp_path: Path) -> None:
    contract = contract_of(tmp_path, FEATURES)
    execute(connection, create_table(contract))
    assert indexes_of(connection, "features.ftr_buyer") == {"(computed_on, buyer_id)", "(buyer_id)"}


def test_text_from_contracts_is_quoted(connection: Connection, tmp_path: Path) -> None:
    text = changed(ORDERS, "What the clerk wrote.", 'The clerk\'s "note"; 100% of it.')
    execute(connection, create_table(contract_of(tmp_path, text)))
    found = query(connection, "select col_description('raw.orders'::regclass, 5) as c")
    assert found[0]["c"] == 'The clerk\'s "note"; 100% of it.'


def test_a_change_that_breaks_nothing_keeps_the_rows(connection: Connection, tmp_path: Path) -> None:
    old = contract_of(tmp_path / "old")
    text = changed(ORDERS, "numeric(8,2)", "numeric(10,3)")
    text = changed(text, "required: true\n        description: How it came.", "description: How it came.")
    text = changed(text, "      - name: channel\n", RANK + "      - name: channel\n")
    new = contract_of(tmp_path / "new", text)
    execute(connection, create_table(old))
    execute(
        connection,
        "insert into raw.orders (row_id, order_no, ordered_on, amount_usd, channel, known_at)"
        " values (gen_random_uuid(), '0001', '1998-01-01', 1.25, 'web', now())",
    )
    for _ in range(2):  # a run that stopped half-way may do it again
        for statement in alter_table(old.published_columns, new):
            execute(connection, statement)
    found = columns_of(connection, "raw.orders")
    assert found["amount_usd"] == ("numeric(10,3)", False)
    assert found["channel"] == ("text", False)
    assert found["rank"] == ("bigint", False)
    assert query(connection, "select amount_usd::text as a, rank from raw.orders") == [{"a": "1.250", "rank": None}]


def test_a_history_follows_its_table(connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = contract_of(tmp_path / "old", FEATURES)
    wider = changed(FEATURES, "physicalType: integer\n        required: true\n", "physicalType: bigint\n")
    new = contract_of(tmp_path / "new", changed(wider, "      - name: is_member\n", RANK + "      - name: is_member\n"))
    ensure_tables(connection, [old])
    monkeypatch.setattr("data_platform.warehouse.tables.published_contracts", lambda _: {old.dataset: old})
    ensure_tables(connection, [new])
    table, history = (columns_of(connection, name) for name in (new.table, f"{new.table}_history"))
    assert table["order_count"] == ("bigint", False)
    assert {name: history[name] for name in table} == table


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("numeric(8,2)", "numeric(7,2)", "from numeric\\(8,2\\) to numeric\\(7,2\\)"),
        ("name: note\n", "name: note\n        required: true\n", "'note' becomes required"),
        ("name: note\n", "name: remark\n", "'note' is removed"),
        ("value: drop", "value: hash", None),
    ],
)
def test_a_table_does_not_follow_a_breaking_change(old: str, new: str, message: str | None, tmp_path: Path) -> None:
    before, after = contract_of(tmp_path / "old"), contract_of(tmp_path / "new", changed(ORDERS, old, new))
    if message is None:  # a new, nullable column is no obstacle for the table, whatever policy it comes from
        assert 'add column if not exists "phone_hash" text' in alter_table(before.published_columns, after)[0]
        return
    with pytest.raises(InputError, match=message):
        alter_table(before.published_columns, after)


def privileges(connection: Connection, table: str) -> dict[str, set[str]]:
    """Role → columns that it can read."""
    rows = query(
        connection,
        "select r.rolname as role, a.attname as name from pg_attribute as a, pg_roles as r"
        " where a.attrelid = %s::regclass and a.attnum > 0 and r.rolname = any(%s)"
        " and has_column_privilege(r.rolname, a.attrelid, a.attnum, 'select')",
        (table, list(ROLES)),
    )
    found: dict[str, set[str]] = {role: set() for role in ROLES}
    for row in rows:
        found[row["role"]].add(row["name"])
    return found


def test_roles_see_what_their_purpose_allows(connection: Connection, tmp_path: Path) -> None:
    orders, features = contract_of(tmp_path, ORDERS), contract_of(tmp_path, FEATURES)
    for contract in (orders, features):
        execute(connection, create_table(contract) + grants(contract))
    everything = set(columns_of(connection, "raw.orders"))
    found = privileges(connection, "raw.orders")
    assert found["analyst"] == found["developer"] == everything - {"gender"}
    assert found["serving"] == found["training"] == found["steward"] == set()
    found = privileges(connection, "features.ftr_buyer")
    everything = set(columns_of(connection, "features.ftr_buyer"))
    assert {role for role, names in found.items() if names == everything} == set(ROLES) - {"steward"}
    assert found["steward"] == set()


def test_a_grant_ends_when_the_contract_ends_it(connection: Connection, tmp_path: Path) -> None:
    text = changed(
        ORDERS,
        "        classification: personal\n        description: As declared.\n",
        "        description: As declared.\n",
    )
    text = changed(
        text, "        customProperties:\n          - {property: privacy, value: {keep: fairness tests}}\n", ""
    )
    public, personal = contract_of(tmp_path / "old", text), contract_of(tmp_path / "new")
    execute(connection, create_table(public) + grants(public))
    assert "gender" in privileges(connection, "raw.orders")["analyst"]
    execute(connection, grants(personal))
    assert "gender" not in privileges(connection, "raw.orders")["analyst"]


def test_an_analyst_is_refused_a_personal_column(platform: Platform, tmp_path: Path) -> None:
    contract = contract_of(tmp_path)
    with transaction() as connection:
        execute(connection, create_table(contract) + grants(contract))
    analyst = open_connection("analyst")
    try:
        assert query(analyst, "select count(order_no) as n from raw.orders") == [{"n": 0}]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query(analyst, "select gender from raw.orders")
    finally:
        analyst.close()


def test_published_contracts_come_back_whole(connection: Connection, tmp_path: Path) -> None:
    assert published_contracts(connection) == {}
    record(connection, contract := contract_of(tmp_path))
    assert published_contracts(connection) == {"orders": contract}


def record(connection: Connection, contract: Contract) -> None:
    """Writes a contract as a publication does."""
    from psycopg2.extras import Json

    execute(connection, "insert into ops.runs (run_id, kind) values ('r', 'manual')")
    published = query(
        connection,
        "insert into ops.publications (run_id, through_day, read_set, input_files)"
        " values ('r', '1998-01-01', '{}', '{}') returning publication_id",
    )
    execute(
        connection,
        "insert into ops.contracts (dataset, contract_hash, document, publication_id) values (%s, %s, %s, %s)",
        (contract.dataset, contract_hash(contract), Json(contract_document(contract)), published[0]["publication_id"]),
    )

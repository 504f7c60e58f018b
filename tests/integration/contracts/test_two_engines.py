"""One rule, two engines: for each rule rows that break it; the gate and dbt's tests agree on which rule that is."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_platform.contracts.compile.dbt import property_files
from data_platform.contracts.compile.ddl import create_table
from data_platform.contracts.compile.gx import suite
from data_platform.contracts.model import Contract
from data_platform.gates.rules import Relation, Subject
from data_platform.warehouse.connection import execute, transaction
from tests.conftest import PASSWORD, Platform
from tests.unit.contracts.examples import FEATURES, ORDERS, changed, contract_of

pytestmark = [pytest.mark.integration, pytest.mark.no_cover]

GENERIC_TESTS = Path(__file__).parents[3] / "dbt_project" / "tests" / "generic"
SNAPSHOT = changed(ORDERS, "value: events", "value: snapshot")
SNAPSHOT = changed(SNAPSHOT, "property: eventDay, value: ordered_on", "property: extractDay, value: path")
SNAPSHOT = changed(SNAPSHOT, "orders/*.csv", "orders/{extract_day}.csv")
SNAPSHOT = changed(SNAPSHOT, "mustBeGreaterOrEqualTo: 1", "mustBeBetween: [2, 3]")
SOME = changed(ORDERS, "unit: percent\n        mustBeLessOrEqualTo: 50", "mustBeBetween: [1, 2]")
POINTING = changed(ORDERS, "{maxLength: 10}", "{maxLength: 10}\n        relationships: [{to: case_0.order_no}]")
UNIQUE = changed(FEATURES, "physicalType: bigint\n", "physicalType: bigint\n        unique: true\n")
ORDER = {"ordered_on": "1998-01-01", "amount_usd": 12, "note": "gift", "channel": "shop", "gender": "f"}
FEATURE = {"computed_on": "1998-01-01", "buyer_id": 1, "event_at": "1998-01-02", "order_count": 3}
CHEAP = {"amount_usd": 0.5}

Rows = list[dict[str, Any]]


def orders(*changes: dict[str, Any]) -> Rows:
    """One row for each mapping of changes, each with a number of its own."""
    return [{**ORDER, "order_no": f"{at:04d}", **change} for at, change in enumerate(changes)]


def extracts(*sizes: int) -> Rows:
    """So many rows of each of some days."""
    days = [f"1998-01-{day:02d}" for day, size in enumerate(sizes, 1) for _ in range(size)]
    return [{**row, "extract_day": day} for day, row in zip(days, orders(*({} for _ in days)), strict=True)]


@dataclass(frozen=True)
class Case:
    """A contract's text, rows, and the rule that they break, if any."""

    text: str
    rows: Rows
    broken: str = ""


CASES = [
    Case(ORDERS, orders({}, {"amount_usd": None, "note": None}, {"channel": "web", "note": ""}, {"amount_usd": 0})),
    Case(ORDERS, orders({}, CHEAP)),
    Case(ORDERS, orders({}, {"channel": None}), "channel.required"),
    Case(ORDERS, orders({}, {"order_no": "12345"}), "order_no.pattern"),
    Case(ORDERS, orders({}, {"order_no": "1234\n"}), "order_no.pattern"),
    Case(ORDERS, orders({}, {"amount_usd": -1}, {"amount_usd": 500}), "amount_usd.range"),
    Case(ORDERS, orders({}, {"note": "eleven char"}), "note.length"),
    Case(ORDERS, orders({}, {"channel": "letter"}), "channel_known"),
    Case(ORDERS, orders({}, {"amount_usd": None}), "few_without_value"),
    Case(ORDERS, orders({}, CHEAP, CHEAP), "cheap_orders"),
    Case(ORDERS, orders({}, {"channel": "web"}), "web_orders_have_no_note"),
    Case(ORDERS, [], "enough_orders"),
    Case(ORDERS, orders({}, {"order_no": "0000"}), "key"),
    Case(SOME, orders({}, CHEAP, CHEAP)),
    Case(SOME, orders({}), "cheap_orders"),
    Case(SOME, orders(CHEAP, CHEAP, CHEAP), "cheap_orders"),
    Case(POINTING, orders({"note": "0002"}, {"note": None})),
    Case(POINTING, orders({"note": "0002"}, {"note": "0009"}), "note.stands_in_case_0"),
    Case(SNAPSHOT, extracts(2, 3)),
    Case(SNAPSHOT, extracts(2, 1), "enough_orders"),
    Case(SNAPSHOT, extracts(2, 4), "enough_orders"),
    Case(FEATURES, [FEATURE, {**FEATURE, "buyer_id": 2}, {**FEATURE, "computed_on": "1998-01-02"}]),
    Case(FEATURES, [FEATURE, FEATURE], "key"),
    Case(FEATURES, [{**FEATURE, "order_count": -1}], "order_count.range"),
    Case(FEATURES, [{**FEATURE, "event_at": None}], "event_at.required"),
    Case(UNIQUE, [FEATURE]),
    Case(UNIQUE, [FEATURE, {**FEATURE, "computed_on": "1998-01-02"}], "buyer_id.unique"),
]


def test_the_cases_break_every_rule_of_the_examples(tmp_path: Path) -> None:
    rules = {config["meta"]["rule_id"] for text in (ORDERS, FEATURES) for config in suite(contract_of(tmp_path, text))}
    assert {rule for rule in rules if not rule.endswith(".required")} <= {case.broken for case in CASES}


def test_gate_and_dbt_agree_on_what_is_broken(platform: Platform, tmp_path: Path) -> None:
    contracts = [load(case, f"case_{number}", tmp_path) for number, case in enumerate(CASES)]
    expected = {
        contract.dataset: {case.broken.replace(".", "__")} - {""}
        for contract, case in zip(contracts, CASES, strict=True)
    }
    assert broken_by_the_gate(contracts) == expected
    assert broken_by_dbt(contracts, platform, tmp_path / "project") == expected


def load(case: Case, dataset: str, folder: Path) -> Contract:
    """The contract under a name of its own, and its table, without the constraints that keep broken rows out."""
    old = yaml.safe_load(case.text)["schema"][0]["name"]
    text = case.text.replace(f"- name: {old}", f"- name: {dataset}").replace(f"element: {old}.", f"element: {dataset}.")
    layer = "features" if "schema: features" in text else "sources/shop"
    contract = contract_of(folder, text, f"{layer}/{dataset}.odcs.yaml")
    with transaction() as connection:
        execute(connection, create_table(contract))
        execute(connection, f"alter table {contract.table} drop constraint {dataset}_pkey")
        for column in contract.published_columns:
            execute(connection, f"alter table {contract.table} alter {column.name} drop not null")
        for row in case.rows:
            given = {**row, "known_at": "1998-01-02", **({"row_id": f"{id(row):032x}"} if contract.source else {})}
            places = ", ".join(["%s"] * len(given))
            statement = f"insert into {contract.table} ({', '.join(given)}) values ({places})"
            execute(connection, statement, tuple(given.values()))
    return contract


def broken_by_the_gate(contracts: list[Contract]) -> dict[str, set[str]]:
    from data_platform.gates.context import open_context
    from data_platform.gates.evaluate import Evaluator

    evaluator = Evaluator(open_context())
    try:
        found = {}
        for contract in contracts:
            relation = Relation(contract.dataset, f"select * from {contract.table}")
            evaluation = evaluator.evaluate(Subject(relation, tuple(suite(contract)), rows=1))
            found[contract.dataset] = {rule.rule_id.replace(".", "__") for rule in evaluation.failed}
        return found
    finally:
        evaluator.close()


def broken_by_dbt(contracts: list[Contract], platform: Platform, project: Path) -> dict[str, set[str]]:
    """Rules whose dbt test fails or warns, in a project of just the compiled files and the generic tests."""
    settings = {"name": "both", "profile": "both", "flags": {"send_anonymous_usage_stats": False}}
    write(project / "dbt_project.yml", yaml.safe_dump(settings))
    host, port = platform.environment["WAREHOUSE_URL"].split("/")[2].split(":")
    target = {
        "type": "postgres",
        "host": host,
        "port": int(port),
        "user": "platform",
        "password": "{{ env_var('WAREHOUSE_PASSWORD_PLATFORM') }}",
        "dbname": platform.environment["WAREHOUSE_URL"].rsplit("/", 1)[1],
        "schema": "dev_both",
        "threads": 2,
    }
    write(project / "profiles.yml", yaml.safe_dump({"both": {"target": "t", "outputs": {"t": target}}}))
    shutil.copytree(GENERIC_TESTS, project / "tests" / "generic")
    for name, text in property_files(contracts).items():
        write(project / "models" / Path(name).name, text)
    for contract in contracts:
        if contract.layer == "features":
            write(
                project / "models" / f"{contract.dataset}.sql",
                f"{{{{ config(materialized='view') }}}} select * from {contract.table}",
            )
    environment = {**os.environ, "WAREHOUSE_PASSWORD_PLATFORM": PASSWORD, "DBT_PROFILES_DIR": str(project)}
    command = [Path(sys.executable).with_name("dbt"), "build", "--quiet", "--project-dir", str(project)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    statuses = {result["status"] for result in results}
    assert statuses == {"pass", "success", "fail", "warn"}, run.stdout[-3000:]
    found: dict[str, set[str]] = {contract.dataset: set() for contract in contracts}
    for result in results:
        if result["status"] in {"fail", "warn"}:
            dataset, rule = result["unique_id"].split(".")[2].split("__", 1)
            found[dataset].add(rule)
    return found


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")

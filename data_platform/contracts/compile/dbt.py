"""Contract → dbt's property files: sources, models, descriptions, tests with severities.

Besides dbt's own tests (`not_null`, `unique`, `accepted_values`, `relationships`) two generic ones of the project are
used:

- ``expression_holds(expression, max_percent, min_rows, max_rows)``: a boolean that is never NULL holds for
  every row; with a limit, for all but that many rows, or percent of them;
- ``row_count_between(minimum, maximum, per)``: of the relation, or of each value of the column ``per``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from data_platform.contracts.compile import heading
from data_platform.contracts.compile.checks import Check, between, checks, describe, sql_literal
from data_platform.contracts.compile.ddl import KNOWN_AT, ROW_ID
from data_platform.contracts.model import Contract

FOLDER = "dbt_project/models/generated"
RAW_SCHEMA = "{{ env_var('DP_RAW_SCHEMA', 'raw') }}"
SEVERITIES = {"error": "error", "warning": "warn"}

Properties = dict[str, Any]


def property_files(contracts: Iterable[Contract]) -> dict[str, str]:
    """All property files, path below the project's root → YAML."""
    files: dict[str, tuple[str, Properties]] = {}
    ordered = sorted(contracts, key=lambda contract: contract.dataset)
    relations = {contract.dataset: _relation(contract) for contract in ordered}
    for source in sorted({contract.source for contract in ordered if contract.source}):
        tables = [contract for contract in ordered if contract.source == source]
        files[f"sources_{source}.yml"] = (
            f"sources/{source}/",
            {"version": 2, "sources": [_source(source, tables, relations)]},
        )
    for contract in ordered:
        model = _staging(contract) if contract.source else _model(contract, relations)
        files[f"{model['name']}.yml"] = str(contract.path), {"version": 2, "models": [model]}
    return {f"{FOLDER}/{name}": _yaml(*files[name]) for name in sorted(files)}


def staging_name(contract: Contract) -> str:
    """The staging model of a source's dataset."""
    return f"stg_{contract.source}__{contract.dataset}"


def _relation(contract: Contract) -> str:
    return f"source('{contract.source}', '{contract.dataset}')" if contract.source else f"ref('{contract.dataset}')"


def _source(name: str, contracts: list[Contract], relations: Mapping[str, str]) -> Properties:
    return {
        "name": name,
        "description": f"Published rows of {', '.join(c.dataset for c in contracts)}, after their gate.",
        "schema": RAW_SCHEMA,
        "tables": [_described(c, c.dataset, checks(c), relations) | {"config": {"meta": _meta(c)}} for c in contracts],
    }


def _model(contract: Contract, relations: Mapping[str, str]) -> Properties:
    config = {"materialized": contract.kind, "meta": _meta(contract)}
    return _described(contract, contract.dataset, checks(contract), relations) | {"config": config}


def _staging(contract: Contract) -> Properties:
    key = [check for check in checks(contract) if check.kind == "unique" and check.severity == "error"]
    return _described(contract, staging_name(contract), key, {})


def _meta(contract: Contract) -> Properties:
    return {
        "schema": contract.schema_name,
        "day_column": contract.day_column,
        "unit_column": contract.unit_column,
        "key": list(contract.key),
        "contract_version": contract.version,
        "owner": contract.owner,
        **({"is_reference": True} if contract.is_reference else {}),
    }


def _described(contract: Contract, name: str, tests: Iterable[Check], relations: Mapping[str, str]) -> Properties:
    """Description, tests over rows, and columns with theirs."""
    tests = list(tests)
    columns = [("row_id", "uuid", ROW_ID)] if contract.source else []
    # The day of a reference table tells nothing to those who build models.
    shown = [c for c in contract.published_columns if not (contract.is_reference and c.name == contract.day_column)]
    columns += [(c.name, c.physical_type, c.description) for c in shown]
    columns += [("known_at", "timestamptz", KNOWN_AT)]
    of_rows = [test for test in tests if test.column is None]
    return {
        "name": name,
        "description": f"{contract.purpose} Grain: {contract.grain}. Owner: {contract.owner}.",
        **_tests(of_rows, name, contract, relations),
        "columns": [
            {
                "name": column,
                "data_type": kind,
                "description": description,
                **_tests([test for test in tests if test.column == column], name, contract, relations),
            }
            for column, kind, description in columns
        ],
    }


def _tests(found: list[Check], name: str, contract: Contract, relations: Mapping[str, str]) -> Properties:
    return {"data_tests": [_test(check, name, contract, relations) for check in found]} if found else {}


def _test(check: Check, name: str, contract: Contract, relations: Mapping[str, str]) -> Properties:
    kind, arguments = _as_dbt(check, contract, relations)
    return {
        kind: {
            "name": f"{name}__{check.rule_id.replace('.', '__')}",
            "description": f"{describe(check)}: {check.reason}",
            **({"arguments": arguments} if arguments else {}),
            "config": {"severity": SEVERITIES[check.severity]},
        }
    }


def _as_dbt(check: Check, contract: Contract, relations: Mapping[str, str]) -> tuple[str, Properties]:
    match check.kind:
        case "not_null" if not check.highest:
            return "not_null", {}
        case "unique":
            # A row of several columns is a value too: dbt's own test does for compound keys.
            return "unique", {} if check.column else {"column_name": f"({', '.join(check.columns)})"}
        case "allowed":
            return "accepted_values", {"values": list(check.values)}
        case "foreign_key":
            return "relationships", {"to": relations[check.target], "field": check.target_column}
        case "row_count":
            return "row_count_between", _given(
                minimum=_short(check.lowest),
                maximum=_short(check.highest),
                per=contract.day_column if check.per_day else None,
            )
        case _:
            return "expression_holds", {"expression": _expression(check), **_limits(check)}


def _expression(check: Check) -> str:
    """SQL boolean, never NULL: an absent value breaks no rule but `not_null`."""
    match check.kind:
        case "not_null":
            return f"{check.column} is not null"
        case "pattern":
            return f"({check.column} ~ {sql_literal(check.pattern)}) is not false"
        case "between":
            return f"({between(str(check.column), check.lowest, check.highest)}) is not false"
        case "length":
            return f"({between(f'char_length({check.column})', check.lowest, check.highest)}) is not false"
        case _:
            return f"({check.condition}) is not true"


def _limits(check: Check) -> Properties:
    if check.kind not in {"broken_rows", "not_null"} or check.highest == 0:
        return {}
    if check.percent:
        return _given(max_percent=_short(check.highest))
    return _given(min_rows=_short(check.lowest), max_rows=_short(check.highest))


def _given(**arguments: Any) -> Properties:
    return {name: value for name, value in arguments.items() if value is not None}


def _short(number: float | None) -> int | float | None:
    return int(number) if number is not None and number.is_integer() else number


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out each time, where YAML would refer to the first as ``&id001``."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return True


def _yaml(origin: str, document: Properties) -> str:
    return f"# {heading(origin)}\n" + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )

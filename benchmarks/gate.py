"""A gate of 15 rules over a million rows, beside one hand-written statement and a stock GX checkpoint.

- *one SQL* computes the same 15 numbers in a single statement: the least that any engine could ask of Postgres. Each
  contender opens its own connection.
- *GX checkpoint* is what Great Expectations' documentation shows: suite, validation definition and checkpoint with the
  default result format and Data Docs, and its own expectations for keys and conditions. Ours writes its pages, too, in
  the turn that is compared with it.
- *plain import* is ``import great_expectations`` in a fresh process: a gate that is a process of its own pays for it.

Rows and imports are warm in the first two: neither disk nor Python's start is what differs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.harness import OURS, Bench
from data_platform.gates.rules import Evaluation, Relation, Subject, expectation
from data_platform.warehouse.connection import execute, query

ROWS = 1_000_000
SCHEMA = "run_bench"
TABLE = """
    create schema run_bench;
    create table run_bench.purchases__new as
    select
        md5(g::text)::uuid as row_id,
        lpad((g % 23570)::text, 5, '0') as customer_id,
        date '1997-01-01' + (g % 546) as purchased_on,
        1 + g % 9 as cd_count,
        (g % 5000 / 100.0)::numeric(12, 2) as amount_usd,
        (array['US', 'CA', 'GB', 'DE', 'FR'])[1 + g % 5] as country,
        case when g % 50 > 0 then md5(g::text) end as email_hash
    from generate_series(1, {rows}) as g;
    analyze run_bench.purchases__new
"""
# rule, expectation, its arguments, and the number of broken rows in SQL
RULES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    *(
        (f"{c}.required", "expect_column_values_to_not_be_null", {"column": c}, f"count(*) filter (where {c} is null)")
        for c in ("row_id", "customer_id", "purchased_on", "cd_count", "amount_usd", "country")
    ),
    (
        "customer_id.pattern",
        "expect_column_values_to_match_regex",
        {"column": "customer_id", "regex": r"^\d{5}$"},
        r"count(*) filter (where customer_id !~ '^\d{5}$')",
    ),
    (
        "customer_id.length",
        "expect_column_value_lengths_to_be_between",
        {"column": "customer_id", "min_value": 5, "max_value": 5},
        "count(*) filter (where length(customer_id) not between 5 and 5)",
    ),
    (
        "cd_count.range",
        "expect_column_values_to_be_between",
        {"column": "cd_count", "min_value": 1, "max_value": 999},
        "count(*) filter (where cd_count not between 1 and 999)",
    ),
    (
        "amount_usd.range",
        "expect_column_values_to_be_between",
        {"column": "amount_usd", "min_value": 0, "max_value": 10000},
        "count(*) filter (where amount_usd not between 0 and 10000)",
    ),
    (
        "country_known",
        "expect_column_values_to_be_in_set",
        {"column": "country", "value_set": ["US", "CA", "GB", "DE", "FR"]},
        "count(*) filter (where country not in ('US', 'CA', 'GB', 'DE', 'FR'))",
    ),
    (
        "email_mostly_there",
        "expect_column_values_to_not_be_null",
        {"column": "email_hash", "mostly": 0.95},
        "count(*) filter (where email_hash is null)",
    ),
    (
        "gifts_are_rare",
        "expect_broken_rows_to_be_between",
        {"condition": "amount_usd = 0", "max_value": 5, "percent": True},
        "count(*) filter (where amount_usd = 0)",
    ),
    (
        "enough_rows",
        "expect_table_row_count_to_be_between",
        {"min_value": 1, "max_value": 10 * ROWS},
        "count(*)",
    ),
    (
        "key",
        "expect_group_sizes_to_be_between",
        {"columns": ["row_id"], "max_value": 1},
        "(select count(*) from (select from run_bench.purchases__new group by row_id having count(*) > 1) as k)",
    ),
)
STOCK = {
    "gifts_are_rare": (
        "unexpected_rows_expectation",
        {
            "unexpected_rows_query": "select count(*) from {batch}"
            " having count(*) filter (where amount_usd = 0) > 0.05 * count(*)"
        },
    ),
    "key": ("expect_column_values_to_be_unique", {"column": "row_id"}),
}
IMPORTS = {
    OURS: "from data_platform.gates.loading import load; load()",
    "plain import": "import great_expectations",
}


def run(bench: Bench) -> None:
    bench.say(f"making {ROWS:,} rows")
    connection = bench.warehouse.connect()
    with connection:
        execute(connection, TABLE.format(rows=ROWS))
    connection.close()
    whether = bench.interleave(
        {
            OURS: lambda: _require_all_hold(evaluate()),
            "one SQL": lambda: _require_all_low(one_statement(bench)),
        },
        warm_up=True,
    )
    bench.compare("15_rules", "s", whether, targets={"one SQL": 1 / 1.8})
    with_pages = bench.interleave({OURS: evaluate_with_pages, "GX checkpoint": stock_checkpoint})
    bench.compare("15_rules_with_pages", "s", with_pages, targets={"GX checkpoint": 1.0})
    imports = bench.interleave({name: _process(code) for name, code in IMPORTS.items()}, warm_up=True)
    bench.compare("import", "s", imports, targets={"plain import": 1.5})


def evaluate() -> Evaluation:
    """Our gate's evaluation, from a new context on."""
    from data_platform.gates.context import open_context

    return _evaluate(open_context(SCHEMA))


def _evaluate(context: Any) -> Evaluation:
    from data_platform.gates.evaluate import Evaluator

    relation = Relation("purchases", table="purchases__new")
    rules = tuple(expectation(rule, kind, kwargs, expected=rule, reason=rule) for rule, kind, kwargs, _ in RULES)
    evaluator = Evaluator(context)
    try:
        return evaluator.evaluate(Subject(relation, rules, rows=ROWS))
    finally:
        evaluator.close()


def evaluate_with_pages() -> None:
    """The same, and Data Docs."""
    from data_platform.gates.context import open_context
    from data_platform.gates.data_docs import add_pages

    context = open_context(SCHEMA)
    add_pages(context, "bench", "stage", [_evaluate(context)])


def one_statement(bench: Bench) -> dict[str, int]:
    """The 15 numbers by hand."""
    numbers = ", ".join(f'{number} as "{rule}"' for rule, _, _, number in RULES)
    connection = bench.warehouse.connect()
    try:
        return query(connection, f"select {numbers} from run_bench.purchases__new")[0]  # noqa: S608 - all constants
    finally:
        connection.close()


def _require_all_hold(evaluation: Evaluation) -> None:
    """All 15 rules were asked and hold; tests show that a broken one is caught."""
    assert len(evaluation.rules) == len(RULES) == 15
    assert evaluation.verdict == "passed", evaluation.failed


def _require_all_low(numbers: dict[str, int]) -> None:
    """The same, by the numbers."""
    allowed = {"email_mostly_there": ROWS // 20, "gifts_are_rare": ROWS // 20, "enough_rows": 10 * ROWS}
    assert len(numbers) == 15
    assert all(number <= allowed.get(rule, 0) for rule, number in numbers.items()), numbers


def stock_checkpoint() -> None:
    """The same 15 rules as the documentation of Great Expectations would have them."""
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction

    from data_platform.gates.context import open_context

    context = open_context(SCHEMA)
    source = context.data_sources.add_postgres("stock", connection_string="${WAREHOUSE}")
    asset = source.add_table_asset("purchases", table_name="purchases__new")
    batch = asset.add_batch_definition_whole_table("all")
    expectations = []
    for rule, kind, kwargs, _ in RULES:
        stock_kind, stock_kwargs = STOCK.get(rule, (kind, kwargs))
        expectations.append({"type": stock_kind, "kwargs": stock_kwargs})
    suite = context.suites.add(gx.ExpectationSuite("stock", expectations=expectations))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name="stock", data=batch, suite=suite))
    pages = UpdateDataDocsAction(name="pages")
    checkpoint = gx.Checkpoint(name="stock", validation_definitions=[definition], actions=[pages])
    result = context.checkpoints.add(checkpoint).run()
    source.get_execution_engine().close()
    assert result.success, "a stock checkpoint must come to the same verdict"


def _process(code: str) -> Callable[[], None]:
    def run_once() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return run_once

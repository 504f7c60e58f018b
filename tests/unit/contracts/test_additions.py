"""Columns added to a contract's file: types guessed from values, and all else byte for byte."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.contracts.additions import Addition, add_to_file, lines_of
from data_platform.contracts.inferred import suggested, type_of, widest
from data_platform.contracts.load import load_contract
from data_platform.failures import InputError
from tests.unit.contracts.examples import PATHS, VISITS, changed, write_contract

SEEN = "3 rows since landing/web/visits/a.jsonl"


@pytest.mark.parametrize(
    ("text", "physical"),
    [
        ("7", "bigint"),
        ("-123456789012345678", "bigint"),
        ("12345678901234567890", "numeric(38,0)"),
        ("1.50", "numeric(18,2)"),
        ("1e3", "bigint"),
        ("0.30000000000000004", "double precision"),
        ("true", "boolean"),
        ('"True"', "boolean"),
        ('"1998-01-30"', "date"),
        ('"1998-02-30"', "text"),
        ('"1998-01-30T10:00:00+01:00"', "timestamptz"),
        ('"007"', "text"),
        ("[1]", "text"),
        ("{}", "text"),
        ("null", None),
    ],
)
def test_a_value_has_a_type(text: str, physical: str | None) -> None:
    inferred = type_of(json.loads(text, parse_float=Decimal))
    assert (inferred and suggested(inferred)) == physical


SOME_DAY = date(1998, 1, 30)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.decimals(-999, 999, places=2),
    st.floats(0.1, 0.2).map(lambda x: Decimal(repr(x))),
    st.sampled_from(["a", "007", SOME_DAY.isoformat(), f"{SOME_DAY + timedelta(1)}T10:00:00Z", "true"]),
)


@given(st.lists(values, max_size=6), st.randoms())
def test_the_type_of_many_does_not_depend_on_their_order(found: list[Any], random: Any) -> None:
    def of_all(some: list[Any]) -> str | None:
        widened = None
        for value in some:
            widened = widest(widened, type_of(value))
        return widened

    shuffled = random.sample(found, len(found))
    half = len(found) // 2
    assert of_all(shuffled) == of_all(found) == widest(of_all(found[:half]), of_all(found[half:]))
    assert of_all(found + found) == of_all(found)


@pytest.mark.parametrize(("one", "other"), [("date", "boolean"), ("date", "timestamptz"), ("numeric(1,0)", "date")])
def test_what_has_no_type_in_common_is_text(one: str, other: str) -> None:
    assert widest(one, other) == widest(other, one) == "text"


ADDITIONS = [
    Addition("page.product.colour", "text", SEEN),
    Addition("Gift card: no", "numeric(4,0)", SEEN),
    Addition("yes", "boolean", SEEN),
    Addition("page.ref.url", "numeric(4,2)", SEEN),
    Addition("known at", None, SEEN),
    Addition("2nd", "date", SEEN),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_are_written_before_the_one_that_held_them(end: str, tmp_path: Path) -> None:
    text = changed(VISITS, "      - name: other_fields\n", "      # Whatever comes.\n      - name: other_fields\n")
    text = text.replace("\n", end)
    file = write_contract(tmp_path, VISITS, PATHS["visits"])
    file.write_bytes(text.encode())
    before = load_contract(file, tmp_path)

    add_to_file(before, ADDITIONS, tmp_path)

    written = file.read_bytes().decode()
    head, rest = text.split("      # Whatever comes.")
    assert written.startswith(head)
    assert written.endswith(f"      # Whatever comes.{rest}")
    added = written[len(head) : len(written) - len(rest) - len("      # Whatever comes.")]
    assert added.split(end)[:-1] == [f"      {line}" for line in lines_of(before, ADDITIONS)]
    assert added.count("# review") == 3 * len(ADDITIONS)
    after = load_contract(file, tmp_path)
    assert [c.name for c in after.columns][-1] == "other_fields"
    assert [(c.name, c.delivered_name, c.physical_type) for c in after.columns[len(before.columns) - 1 : -1]] == [
        ("colour", "page.product.colour", "text"),
        ("gift_card_no", "Gift card: no", "bigint"),
        ("yes", "yes", "boolean"),
        ("page_ref_url", "page.ref.url", "numeric(18,2)"),
        ("known_at_2", "known at", "text"),
        ("column_2nd", "2nd", "date"),
    ]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("text", "addition", "says"),
    [
        (
            VISITS,
            Addition("page.url.host", "text", SEEN),
            "the columns do not fit into the contract; nothing was written",
        ),
        (
            changed(VISITS, "      - name: other_fields\n", "      -\n        name: other_fields\n"),
            Addition("new", "text", SEEN),
            "the column has no line of its own",
        ),
    ],
)
def test_a_file_that_cannot_take_them_is_left_as_it_was(
    text: str, addition: Addition, says: str, tmp_path: Path
) -> None:
    file = write_contract(tmp_path, text, PATHS["visits"])
    with pytest.raises(InputError, match=says):
        add_to_file(load_contract(file, tmp_path), [addition], tmp_path)
    assert file.read_text("utf-8") == text
    assert list(file.parent.iterdir()) == [file]

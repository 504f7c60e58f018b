"""What is taken out of free text, and what must stay."""

from __future__ import annotations

import re
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.redaction.known import PLACEHOLDERS, Known, Value
from data_platform.redaction.patterns import Span, find
from data_platform.redaction.text import merge, redact
from tests.unit.redaction.letters import letters

TOKEN = re.compile(r"\S+")
MOST_WRONG = 0.02  # of all tokens
NAMED = Known(
    [
        Value("name", "Ann-Marie O'Brien"),
        Value("address", '"The Old Mill", 12 Bababobo Street\nc/o Quillfeather'),
        Value("address", "SW1A 1AA"),
        Value("phone", "030/5551234"),
        Value("email", "ann.quill@postbox.example"),
        Value("value", "1961-07-30"),
    ]
)


def test_all_of_what_generated_letters_hold_is_found_and_hardly_anything_else() -> None:
    there: Counter[str] = Counter()
    missed: list[str] = []
    tokens = wrong = 0
    for letter in letters(seed=1998, number=2000):
        known = Known(letter.known)
        spans = merge([*find(letter.text), *(span for span, _ in known.find(letter.text))])
        hidden = [any(s.start <= place < s.end for s in spans) for place in range(len(letter.text))]
        for start, end, kind in letter.spans:
            there[kind] += 1
            shown = "".join(c for place, c in enumerate(letter.text[start:end], start) if not hidden[place])
            if any(c.isalnum() for c in shown):
                missed.append(f"{kind} {letter.text[start:end]!r} leaves {shown!r}")
        personal = [any(a <= place < b for a, b, _ in letter.spans) for place in range(len(letter.text))]
        for token in TOKEN.finditer(letter.text):
            places = range(*token.span())
            tokens += 1
            wrong += any(hidden[p] for p in places) and not any(personal[p] for p in places)
    assert min(there.values()) > 500
    assert there.keys() == {"EMAIL", "CARD", "IBAN", "IP", "PHONE", "NAME", "ADDRESS"}
    assert missed == []
    assert wrong / tokens <= MOST_WRONG, f"{wrong} of {tokens}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to ann+shop@x.example, or ann (at) x [dot] example", "to <EMAIL>, or <EMAIL>"),
        ("or ann at x dot example", "or <EMAIL>"),
        ("qty 2 4111 1111 1111 1111 12/99", "qty 2 <CARD> 12/99"),
        ("BE68 5390 0754 7034 some 1998", "<IBAN> some 1998"),
        ("from ::1, 2001:db8::1 or 10.0.0.1. At 10:30:45", "from <IP>, <IP> or <IP>. At 10:30:45"),
        ("(555) 010-1234 or +44 (0)20 7946 0958 1998-01-05", "<PHONE> or <PHONE> 1998-01-05"),
        ("01.23.45.67.89 or 01-23-45-67-89 on 05.01.1998 10", "<PHONE> or <PHONE> on 05.01.1998 10"),
        (".john@x.example, john..doe@x.example, john.@x.example", "<EMAIL>, <EMAIL>, <EMAIL>"),
        ("write me...john@x.example", "write <EMAIL>"),
        ("?to=john%40x.example, a%40b@x.example, john\uff20x.example", "?to=<EMAIL>, <EMAIL>, <EMAIL>"),
        ("call 5551234567, ring 5551234567, text 5551234567", "call <PHONE>, ring <PHONE>, text <PHONE>"),
        ("5551234567 is my mobile; (555)0101234", "<PHONE> is my mobile; <PHONE>"),
        ("from +44\t20 7946 0958", "from <PHONE>"),
        ("from 1.2.3.4.Next 4111/1111/1111/1111 12/99", "from <IP>.Next <CARD> 12/99"),
        ("tel: 5550123, call me at 555 0123", "tel: <PHONE>, call me at <PHONE>"),
        ("Mobil: +49 171 / 5551234, +44 (0) 20 - 7946 - 0958", "Mobil: <PHONE>, <PHONE>"),
        ("+49 (0) 171 - 555 12 34, (555) - 010 - 1234", "<PHONE>, <PHONE>"),
        ("Tel. 0171 / 5551234 or 0171 \u2013 555 12 34", "Tel. <PHONE> or <PHONE>"),
        ("(0171)5551234 and (020)79460958", "<PHONE> and <PHONE>"),
        ("Handynummer: 5551234, Telefonnummer 555 1234", "Handynummer: <PHONE>, Telefonnummer <PHONE>"),
        ("Tel.-Nr.: 5551234; 5551234567 ist meine Handynummer", "Tel.-Nr.: <PHONE>; <PHONE> ist meine Handynummer"),
    ],
)
def test_patterns_are_found_between_other_things(text: str, expected: str) -> None:
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "order 0012345, 0012345678 of 05.01.1998 12:30, 1998-01-05T10:30:45Z, 01/02/1998 10.50",
        "1,234,567.89 USD or 1.234.567,89 or 1 234 567.89",
        "item 4111 1111 1111 1112, 1234567890123456",
        "order 5551234567 of 2 records has not come, and what I have said of it was never answered; call me",
        "50%40 off a.b, version 1.2.3.4.5",
        "version 1.2.3, 300.1.1.1, 16:9, a@b, C++ :: D, meet me at noon, see shop.example",
        "from 05 - 10 - 1998 to 12 / 10 / 1998, 12 - 14 of 20 - 30, 100 / 200, call me at 10 - 12",
    ],
)
def test_numbers_of_orders_amounts_and_days_stay(text: str) -> None:
    assert redact(text).text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ann Marie OBRIEN", "<NAME>"),
        ("a. m. o\u2019brien's", "<NAME>"),
        ("O'Brien, Ann-Marie", "<NAME>"),
        ("Quill\u00adfeather and QUILLFEATHER", "<ADDRESS> and <ADDRESS>"),
        ("at Bababobo St. 12\nin sw1a1aa", "at <ADDRESS>\nin <ADDRESS>"),
        ("on 12 bababobo, or\u00a0bababobo  street", "on <ADDRESS>, or\u00a0<ADDRESS>"),
        ("+49 (30) 555-12-34; ANN quill at postbox example", "<PHONE>; <NAME> quill at postbox example"),
        ("Ann2 or annmarieobrien99 or A. O'Brien or anns", "<NAME> or <NAME> or <NAME> or anns"),
        ("my 5551234 12, 305551234567 and 5551235", "my <PHONE> 12, <PHONE> and 5551235"),
        ("I was born on 1961 07 30", "I was born on <PERSONAL>"),
        ("Johannes, Brienne, Annual, 12, street, mill", "Johannes, Brienne, Annual, 12, street, mill"),
    ],
)
def test_known_values_are_found_in_any_writing(text: str, expected: str) -> None:
    assert redact(text, NAMED).text == expected


def test_umlauts_may_be_spelt_out_or_left_out() -> None:
    known = Known([Value("name", "Jürgen Groß"), Value("address", "Königstraße 5")])
    for text in ("Jurgen Gross", "Juergen GROẞ", "JÜRGEN GROSS", "Ju\u0308rgen Groß"):
        assert redact(text, known).text == "<NAME>"
    for text in ("Koenigstr. 5", "konigstrasse 5", "5 Königstraße"):
        assert redact(text, known).text.rstrip(".") == "<ADDRESS>"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "Ann O'Brien-Smith",
            "OBrien or A. O'Brien or annobrien9 or Smith 9",
            "<NAME> or <NAME> or <NAME> or <NAME> 9",
        ),
        ("王小明", "我叫王小明来自北京。王先生", "我叫<NAME>来自北京。王先生"),
        ("渡辺 ケンジ", "私は渡辺です、ケンジとも", "私は<NAME>です、<NAME>とも"),
        ("สมชาย วันดี", "ผมชื่อสมชาย วันดีครับ", "ผมชื่อ<NAME>ครับ"),
        ("김철수", "김철수는 왔다", "<NAME>는 왔다"),
        ("王", "国王来了", "国王来了"),
    ],
)
def test_names_are_found_by_their_parts_and_inside_of_words_where_no_blank_parts_them(
    name: str, text: str, expected: str
) -> None:
    assert redact(text, Known([Value("name", name)])).text == expected


def test_particles_of_names_stay_words() -> None:
    known = Known([Value("name", "Ludwig van der Berg"), Value("name", "Anh Le")])
    assert redact("the van of Ludwig, the Berg of le", known).text == "the van of <NAME>, the <NAME> of <NAME>"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Kate West", "Mrs West called, K. West, from 5 W Street", "Mrs <NAME> called, <NAME>, from 5 W Street"),
        ("North", "Mr North", "Mr <NAME>"),
        ("Jonas Mueller", "Herr M\u00fcller or Mu\u0308ller", "Herr <NAME> or <NAME>"),
        ("Jens Soerensen", "Yours, S\u00f8rensen", "Yours, <NAME>"),
        ("Anne O'Brien", "from O\u02bcBrien or O\u2019Brien", "from <NAME> or <NAME>"),
        ("\u0645\u062d\u0645\u062f", "\u0645\u062d\u0640\u0640\u0645\u062f", "<NAME>"),
    ],
)
def test_names_are_found_however_they_are_spelt(name: str, text: str, expected: str) -> None:
    assert redact(text, Known([Value("name", name)])).text == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Anna S.", "It's the shop's, as you said"),
        ("Dr Miller", "I drive to the dr"),
        ("Das Gupta", "das ist es"),
        ("Herr M\u00fcller", "Sehr geehrter Herr"),
        ("Mr Smith", "Dear Mrs"),
        ("Le Sage", "pour les autres"),
        ("De La Cruz", "uno de la casa"),
        ("Sue Roe", "su casa"),
    ],
)
def test_words_that_a_short_name_is_like_stay(name: str, text: str) -> None:
    assert redact(text, Known([Value("name", name)])).text == text


@pytest.mark.parametrize("number", ["+1 555 010 1234 x5", "555-010-1234 ext. 12", "5550101234 / 0171 7654321"])
def test_a_known_number_may_have_an_extension_or_stand_beside_another(number: str) -> None:
    known = Known([Value("phone", number)])
    assert redact("mine is 0101234", known).text == "mine is <PHONE>"


def test_a_stroke_in_a_known_number_may_part_its_area() -> None:
    assert redact("mine is 1555123", Known([Value("phone", "0301/555 123")])).text == "mine is <PHONE>"


def test_what_is_known_takes_no_more_room_than_its_length() -> None:
    line = " ".join(f"word{number}" for number in range(2_000))
    tracemalloc.start()
    known = Known([Value("address", f"{line}\n12 Bababobo Street"), Value("value", line), Value("name", line)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * len(line)
    assert redact(f"at 12 Bababobo St, {line}", known).text.startswith("at <ADDRESS>, <NAME>")


def test_a_text_is_as_new_as_the_newest_value_that_it_was_redacted_by() -> None:
    old, new = datetime(1998, 1, 1, tzinfo=UTC), datetime(1998, 2, 1, tzinfo=UTC)
    known = Known([Value("name", "Ann Quill", new), Value("name", "Ann Reed", old), Value("name", "Ann Quill", old)])
    assert redact("yours, Ann Reed", known).since == old
    assert redact("yours, Quill", known).since == old
    assert redact("yours, a@x.example", known).since is None
    spelt = Known([Value("name", "Jonas Mueller", old), Value("name", "Jonas M\u00fcller", new)])
    assert redact("yours, M\u00fcller", spelt).since == old
    later = Known([Value("name", "Ann Reed", old), Value("name", "Bea Quill", new)])
    assert redact("Reed, Quill", later).since == new


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=20), max_size=4))
def test_any_text_is_redacted_without_an_error_and_keeps_what_is_outside_its_spans(
    text: str, values: list[str]
) -> None:
    kinds = ["name", "address", "email", "phone", "value"]
    known = Known([Value(kinds[n % len(kinds)], value) for n, value in enumerate(values)])
    done = redact(text, known).text
    pieces = re.split("|".join(f"<{kind}>" for kind in (*PLACEHOLDERS.values(), "CARD", "IBAN", "IP")), done)
    assert re.fullmatch(".*".join(map(re.escape, pieces)), text, re.DOTALL)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=8))
def test_merged_spans_cover_the_same_and_do_not_overlap(pairs: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + length, f"K{length}") for start, length in pairs]
    merged = merge(spans)
    covered = {place for span in spans for place in range(span.start, span.end)}
    assert {place for span in merged for place in range(span.start, span.end)} == covered
    assert all(one.end <= other.start for one, other in pairwise(merged))


@pytest.mark.parametrize(
    "text",
    [
        *("a." * 50_000, "1 " * 50_000, "1" * 100_000, ":" * 50_000, "a@" * 30_000, "+1" * 30_000),
        *("a dot " * 30_000, "x at " + "b dot " * 30_000, "a%40" * 30_000, "call 5" * 30_000, "." * 100_000),
    ],
)
def test_long_fields_take_no_longer_than_their_length(text: str) -> None:
    assert isinstance(redact(text, NAMED).text, str)

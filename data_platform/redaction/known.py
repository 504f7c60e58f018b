"""Values of one person that are known, found in a text in whatever way he writes them.

Text and values are compared word by word, without case, accents and what stands between words, be it a blank, a hyphen,
a line break or a full stop; letters with an accent also as they are spelt out, words of streets in their short forms. A
name is found whole, by its parts and with initials; an address line by line, a street with or without its house number,
in either order; a telephone number by its last digits.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from data_platform.redaction.patterns import EXTENSION, Span

Words = tuple[str, ...]
Found = tuple[str, datetime | None]  # the placeholder's word, and when the value came
PLACEHOLDERS = {"name": "NAME", "address": "ADDRESS", "email": "EMAIL", "phone": "PHONE", "value": "PERSONAL"}
# Letters that are no letter with an accent to Unicode.
PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "\u0131": "i"})
SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
SPELLABLE = re.compile("[äöüåø\u0308\u030a]", re.IGNORECASE)
SHORT = {
    "street": "st", "avenue": "ave", "av": "ave", "road": "rd", "lane": "ln", "drive": "dr", "boulevard": "blvd",
    "bd": "blvd", "square": "sq", "court": "ct", "place": "pl", "terrace": "ter", "apartment": "apt", "flat": "apt",
    "wohnung": "whg", "north": "n", "south": "s", "east": "e", "west": "w", "saint": "st", "sankt": "st",
}  # fmt: skip
# Parts of names that are words of the language, too: alone they identify nobody.
PARTICLES = frozenset(
    re.findall(
        r"\w+",
        "al am an da das de del della den der des di do dos du el en et ibn im in la las le les lo los of the van vom"
        " von y zu zum zur mr mrs ms miss dr prof herr frau",
    )
)
LINE_ENDS = re.compile(r"[\n\r,;|]+|\bc/o\b", re.IGNORECASE)
DIGITS = re.compile(r"\d(?:[\s().\-/\u00a0\u2010-\u2015]{0,3}\d)+")
EXTENDED = re.compile(EXTENSION, re.IGNORECASE)
SEVERAL_NUMBERS = re.compile(r"[/,;|&\n]|\b(?:and|or|und|oder)\b", re.IGNORECASE)
FEWEST_DIGITS = 7
LONG_PART = 4
LONGEST_TERM = 200  # letters; no name, nor a line of an address, has as many
PARTS = re.compile(r"[\s\u2010-\u2015-]+")


@lru_cache(maxsize=1 << 16)
def _folded(character: str) -> str:
    """Lower-case letters and digits without accents; a blank for what parts words, nothing for what is invisible."""
    decomposed = unicodedata.normalize("NFKD", character.casefold()).translate(PLAIN)
    kept = [c for c in decomposed if not unicodedata.combining(c) and not _is_silent(c)]
    return "".join(c if c.isalnum() else " " for c in kept)


def _is_silent(character: str) -> bool:
    """What is invisible, and signs like the apostrophe U+02BC; those of scripts of East Asia are sounds."""
    category = unicodedata.category(character)
    return category == "Cf" or (category == "Lm" and character < "\u3000")


@lru_cache(maxsize=1 << 12)
def _spelt_out(cluster: str) -> str:
    """As ``_folded``, with ä as ae; of a letter and the one behind it, which may be its accent."""
    letter = unicodedata.normalize("NFC", cluster)[:1].casefold().translate(SPELT_OUT)
    return "".join(map(_folded, letter))


@dataclass(frozen=True)
class Word:
    """A word of a text, folded, and where it stands in it."""

    text: str
    start: int
    end: int


def words_of(text: str, *, spelt_out: bool = False) -> list[Word]:
    """The words of a text in their order, accents left out, or spelt out as in Mueller."""
    found: list[Word] = []
    letters: list[str] = []
    start = end = 0
    for place, character in enumerate(text):
        for letter in _spelt_out(text[place : place + 2]) if spelt_out else _folded(character):
            if letter == " ":
                if letters:
                    found.append(Word("".join(letters), start, end))
                    letters = []
                continue
            if not letters:
                start = place
            letters.append(letter)
            end = place + 1
    if letters:
        found.append(Word("".join(letters), start, end))
    return found


def _short(word: str) -> str:
    if len(word) > len("strasse") and word.endswith("strasse"):
        return word.removesuffix("asse")
    return "str" if word == "strasse" else SHORT.get(word, word)


def fold(text: str) -> Words:
    """A text's words."""
    return tuple(word.text for word in words_of(text))


@dataclass(frozen=True)
class Value:
    """Something known of a person: ``kind`` is a key of PLACEHOLDERS; ``since`` is when it came."""

    kind: str
    text: str = field(repr=False)
    since: datetime | None = None


# Scripts without blanks between words (and Hangul, whose words take endings): a name stands inside of a word there.
UNSPACED = re.compile(
    r"\d*(?:[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]\d*){2,}"
)
NUMERALS = "0123456789"


class Known:
    """What is known of one person, ready to be looked for.

    Args:
        values: of any number of records, also of former names and addresses.
    """

    def __init__(self, values: Iterable[Value]) -> None:
        numbers: dict[str, Found] = {}
        terms: dict[str, Found] = {}
        of_streets: dict[str, Found] = {}
        for value in values:
            kind = PLACEHOLDERS[value.kind]
            if value.kind == "phone":
                for digits in _last_digits(value.text):
                    _add(numbers, digits, kind, value.since)
            for words in _terms_of(value):
                _add(of_streets if value.kind == "address" else terms, "".join(words), kind, value.since)
        self._numbers, self._terms, self._of_streets = numbers, Terms(terms), Terms(of_streets)
        self._unspaced = {t: found for t, found in {**of_streets, **terms}.items() if _is_unspaced(t)}

    def find(self, text: str) -> Iterator[tuple[Span, datetime | None]]:
        """Spans of the text, in no order, each with when its value came; they may overlap."""
        if self._numbers:
            yield from self._find_numbers(text)
        if self._unspaced:
            yield from self._find_unspaced(text)
        if not (self._terms or self._of_streets):
            return
        first: dict[Span, datetime | None] = {}  # of one span in both readings, that of the value that came first
        for spelt_out in (False, True) if SPELLABLE.search(text) else (False,):
            words = words_of(text, spelt_out=spelt_out)
            in_short = [Word(_short(word.text), word.start, word.end) for word in words] if self._of_streets else []
            for span, since in (*self._terms.find(words), *self._of_streets.find(in_short)):
                before = first.setdefault(span, since)
                first[span] = min(before, since) if before and since else before
        yield from first.items()

    def _find_numbers(self, text: str) -> Iterator[tuple[Span, datetime | None]]:
        for match in DIGITS.finditer(text):
            places = [place for place in range(*match.span()) if text[place].isdigit()]
            digits = "".join(text[place] for place in places)
            start = match.start() - (text[max(0, match.start() - 1) : match.start()] in {"+", "("})
            for number, found in self._numbers.items():
                if (at := digits.rfind(number)) >= 0:
                    end = places[at + len(number) - 1] + 1
                    while end < match.end() and text[end].isdigit():
                        end += 1
                    yield Span(start, end, found[0]), found[1]

    def _find_unspaced(self, text: str) -> Iterator[tuple[Span, datetime | None]]:
        placed = [(letter, place) for place, c in enumerate(text) for letter in _folded(c) if letter != " "]
        letters = "".join(letter for letter, _ in placed)
        for term, (kind, since) in self._unspaced.items():
            at = letters.find(term)
            while at >= 0:
                end = placed[at + len(term) - 1][1] + 1
                while end < len(text) and unicodedata.category(text[end]).startswith("M"):
                    end += 1
                yield Span(placed[at][1], end, kind), since
                at = letters.find(term, at + len(term))


class Terms:
    """Terms, kept without what parts their words, as people part them in many ways: O'Brien, OBrien, O Brien."""

    def __init__(self, found: Mapping[str, Found]) -> None:
        self._found = found
        self._in_order = sorted(found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def find(self, words: Sequence[Word]) -> Iterator[tuple[Span, datetime | None]]:
        """The longest terms, none of which overlaps another."""
        place = 0
        while place < len(words):
            found = self._longest(words, place)
            if found is None:
                place += 1
                continue
            last, kind, since = found
            yield Span(words[place].start, words[last].end, kind), since
            place = last + 1

    def _longest(self, words: Sequence[Word], place: int) -> tuple[int, str, datetime | None] | None:
        found, letters = None, ""
        for last in range(place, len(words)):
            before, letters = letters, letters + words[last].text
            term = self._found.get(letters) or self._found.get(_without_s(letters))
            if term := term or self._name_of_account(before, words[last].text):
                found = (last, *term)
            if not self._is_beginning(letters):
                break
        return found

    def _is_beginning(self, letters: str) -> bool:
        at = bisect_left(self._in_order, letters)
        return at < len(self._in_order) and self._in_order[at].startswith(letters)

    def _name_of_account(self, before: str, word: str) -> Found | None:
        """The name with digits right behind it, as accounts are called: annquill99."""
        name = word.rstrip(NUMERALS)
        term = self._found.get(before + name) if name and name != word else None
        return term if term and term[0] == PLACEHOLDERS["name"] else None


def _last_digits(text: str) -> Iterator[str]:
    """The last digits of a telephone number without its extension; and where there may be several, those of each."""
    text = EXTENDED.sub("", unicodedata.normalize("NFKC", text))
    for number in {text, *SEVERAL_NUMBERS.split(text)}:
        digits = "".join(c for c in number if c.isdigit())
        if len(digits) >= FEWEST_DIGITS:
            yield digits[-FEWEST_DIGITS:]


def _add(terms: dict[str, Found], term: str, kind: str, since: datetime | None) -> None:
    """Adds a term; of one that several values have, the first to come counts."""
    if len(term) > LONGEST_TERM:
        return
    before = terms.get(term)
    if before is None or (since is not None and before[1] is not None and since < before[1]):
        terms[term] = (before[0] if before else kind, since)


def _is_unspaced(term: str) -> bool:
    return bool(UNSPACED.fullmatch(unicodedata.normalize("NFC", term)))


def _without_s(word: str) -> str:
    """The name in a genitive without apostrophe, like Annas."""
    return word[:-1] if len(word) > LONG_PART and word.endswith("s") else word


def _terms_of(value: Value) -> Iterator[Words]:
    spellings = {value.text, value.text.casefold().translate(SPELT_OUT)}
    spellings |= {unicodedata.normalize("NFC", value.text).casefold().translate(SPELT_OUT)}
    for spelling in spellings:
        if value.kind == "name":
            yield from _name(fold(spelling))
            yield from _name(tuple("".join(fold(part)) for part in spelling.split()))
            yield from _name(tuple("".join(fold(part)) for part in PARTS.split(spelling)))
        elif value.kind == "address":
            for line in LINE_ENDS.split(spelling):
                yield from _address(tuple(map(_short, fold(line))))
        elif (words := fold(spelling)) and (len(words) > 1 or len(words[0]) > 1):
            yield words


def _name(words: Words) -> Iterator[Words]:
    words = tuple(filter(None, words))
    yield from ((w,) for w in words if len(w) > 1 and (w not in PARTICLES or w == words[-1]))
    if len(words) < 2:
        return
    first, last = words[0], words[-1]
    yield from (words, (*words[1:], first), (last, *words[:-1]), (first, last))
    yield from (some for some in (words[1:], words[:-1]) if len(some) > 1 and not PARTICLES.issuperset(some))
    if first not in PARTICLES:
        yield (first, last[0])
    initials = tuple(w[0] for w in words[:-1])
    yield from ((initials[0], w) for w in words[1:] if len(w) > 1 and w not in PARTICLES)
    if len(last) > 1:
        yield from ((*initials, last), (initials[0], last), (last, *initials), (last, initials[0]))


def _address(words: Words) -> Iterator[Words]:
    numbers = tuple(w for w in words if any(map(str.isdigit, w)))
    names = tuple(w for w in words if not any(map(str.isdigit, w)))
    if len(words) > 1:
        yield words
    if len("".join(numbers)) >= LONG_PART:
        yield numbers  # a postcode
    if max(map(len, names), default=0) >= LONG_PART:
        yield names
    if names and numbers:
        yield from ((*names, *numbers), (*numbers, *names))
        proper = next((w for w in names if w not in SHORT.values() and len(w) >= LONG_PART), None)
        if proper:
            yield from ((numbers[0], proper), (proper, numbers[0]))

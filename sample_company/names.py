"""Names of people, streets and cities, by country; made-up words that stand nowhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Country:
    """What people of a country are called, and how they write addresses and telephone numbers.

    ``streets`` are format strings over ``word``, ``phones`` over ``a`` (three digits) and ``b`` (four). Both are ASCII:
    what a scan looks for must stand the same in every encoding and escape.
    """

    code: str
    women: tuple[str, ...]
    men: tuple[str, ...]
    families: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    phones: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


_ENGLISH_STREETS = ("{word} Street", "{word} Avenue", "{word} Lane", "{word} Road", "{word} Drive")
_AMERICAN_PHONES = ("({a}) 555-{b}", "{a}.555.{b}", "+1 {a} 555 {b}")

US = Country(
    "US",
    _words("Mary Linda Zoë Jennifer Maria Susan Margarita Lisa Renée Karen Helen Sofía Donna Carol Ruth Chloë Ana Kim"),
    _words("James John Robert José William David Ramón Charles Joseph Thomas Andrés Daniel Paul Mark George Luís Kofi"),
    _words(
        "Smith Johnson Williams Brown Jones Miller Davis García Rodríguez Wilson Martínez Anderson Taylor Thomas "
        "Hernández Moore Martin Jackson Thompson White López Lee González Harris Clark Lewis Robinson Walker Peña "
        "O'Brien Hall Allen Young Nguyen Wright Núñez Scott Green Baker Adams"
    ),
    _words(
        "Springfield Portland Austin Denver Seattle Cleveland Tucson Omaha Boise Albany Tulsa Reno San_José Miami "
        "Fresno"
    ),
    _ENGLISH_STREETS,
    _AMERICAN_PHONES,
)
CA = Country(
    "CA",
    _words("Emma Olivia Chloé Sophie Mégane Charlotte Geneviève Hannah Noémie Abigail Amélie Grace"),
    _words("Liam Noah Étienne Lucas Benoît Ethan François Logan Jérôme Owen Félix Jack"),
    _words("Tremblay Gagnon Roy Côté Bouchard Gauthier Bélanger Campbell MacDonald Lévesque Fraser Stewart Singh Wong"),
    _words("Toronto Montréal Vancouver Calgary Ottawa Québec Halifax Winnipeg Trois-Rivières Regina"),
    _ENGLISH_STREETS,
    _AMERICAN_PHONES,
)
GB = Country(
    "GB",
    _words("Olivia Siân Emily Isla Ffion Poppy Ava Niamh Jessica Lily Sophie Zoë Alice"),
    _words("Oliver Harry George Siôn Jack Jacob Noah Charlie Seán Thomas Oscar William"),
    _words("Smith Jones Taylor Brown Evans Davies Thomas Roberts Ó_Néill Hughes Green Wood Clarke Brontë Patel"),
    _words("London Leeds Bristol Cardiff York Glasgow Exeter Norwich Bath Derby Durham"),
    _ENGLISH_STREETS,
    ("0{a} 555 {b}", "+44 {a} 555 {b}"),
)
DE = Country(
    "DE",
    _words("Anna Käthe Ursula Jördis Sabine Bärbel Monika Renate Petra Rösli Heike Ute"),
    _words("Peter Jürgen Hans Günther Wolfgang Klaus Jörg Michael Thomas Björn Stefan Uwe"),
    _words("Müller Schmidt Schneider Fischer Weber Schröder Becker Schäfer Koch Krüger Groß Weiß Köhler Jäger Böhm"),
    _words("Berlin München Köln Hamburg Düsseldorf Nürnberg Münster Leipzig Göttingen Würzburg"),
    ("{word}allee", "{word}weg", "{word}gasse", "Am {word}platz"),
    ("0{a}/555{b}", "+49 {a} 555{b}"),
)
FR = Country(
    "FR",
    _words("Marie Hélène Françoise Zoé Aurélie Jeanne Cécile Élodie Camille Anaïs Inès"),
    _words("Jean Rémi François Hervé Loïc Pierre Gaël André Noël Luc Joël Benoît"),
    _words("Martin Bernard Dubois Lefèvre Moreau Lemaître Girard Besançon Fournier Péron Beauséjour Roux Chênevert"),
    _words("Paris Lyon Orléans Nîmes Besançon Béziers Nantes Rennes Saint-Étienne Angoulême"),
    ("rue {word}", "avenue {word}", "impasse {word}", "place {word}"),
    ("0{a} 555 {b}", "+33 {a} 555 {b}"),
)
COUNTRIES = (US, CA, GB, DE, FR)
COUNTRY_SHARES = (0.72, 0.08, 0.09, 0.06, 0.05)

MAIL_DOMAINS = ("postbox.example", "wavemail.example", "inkwell.example", "homepost.example", "netletter.example")

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfghjklmnprvwyz" for vowel in "aeiou")
WORDS = len(_SYLLABLES) ** 4


def word(number: int) -> str:
    """A pronounceable word of eight letters, another one for each ``number`` below ``WORDS``."""
    letters = []
    for _ in range(4):
        number, syllable = divmod(number, len(_SYLLABLES))
        letters.append(_SYLLABLES[syllable])
    return "".join(letters).capitalize()

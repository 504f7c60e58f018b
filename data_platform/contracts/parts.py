"""The small parts that contracts are made of.

Anything unknown is an error: a misspelt key must not silently switch a rule off.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Severity = Literal["error", "warning"]
NAME = re.compile(r"^[a-z][a-z0-9_]*$")
REFERENCE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class Misplaced(ValueError):
    """A rule between parts of a contract is broken; ``at`` is the way to the part to mend, from the validated one."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


def parse_duration(text: object) -> object:
    """``6h``, ``2d``, ``30m`` → timedelta."""
    if isinstance(text, str) and (match := re.fullmatch(r"(\d+)\s*(m|h|d)", text)):
        return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})
    raise ValueError("a duration is a number and m, h or d, like 6h")


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
ISO_DURATION = re.compile(r"-?P[0-9DTHMS.]+")


def parse_or_keep(value: object) -> object:
    """As ``parse_duration``; what a contract's JSON holds of a duration stays as it is."""
    is_ours = isinstance(value, timedelta) or (isinstance(value, str) and ISO_DURATION.fullmatch(value))
    return value if is_ours else parse_duration(value)


KeptDuration = Annotated[timedelta, BeforeValidator(parse_or_keep)]


class CustomProperties(Strict):
    """ODCS customProperties, in the file a list of property/value pairs; a subclass has a field a property."""

    @model_validator(mode="before")
    @classmethod
    def _from_pairs(cls, items: Any) -> Any:
        if not isinstance(items, list):
            return items
        found: dict[str, Any] = {}
        for position, item in enumerate(items):
            if not isinstance(item, dict) or set(item) != {"property", "value"}:
                raise Misplaced("customProperties is a list of {property: …, value: …}", position)
            if item["property"] in found:
                raise Misplaced(f"custom property {item['property']!r} stands twice", position)
            found[item["property"]] = item["value"]
        return found


class RelationshipProperties(CustomProperties):
    """What we add to a relationship of ODCS."""

    severity: Severity = Field("error", description="`error` stops the publication, `warning` is recorded")
    reason: str = Field(
        "the contract says where its values stand", min_length=10, description="when and why it was set"
    )


class Relationship(Strict):
    """A foreign key: each value of the column stands in a column of a dataset, which may be its own."""

    type: Literal["foreignKey"] = "foreignKey"
    to: str = Field(description="the column that has all values, as dataset.column")
    custom: RelationshipProperties = Field(
        RelationshipProperties(), alias="customProperties", description="`severity`, `reason`"
    )

    @property
    def dataset(self) -> str:
        return self.to.partition(".")[0]

    @property
    def column(self) -> str:
        return self.to.partition(".")[2]

    @field_validator("to", mode="before")
    @classmethod
    def _is_one_column(cls, to: Any) -> Any:
        if not isinstance(to, str) or not REFERENCE.fullmatch(to):
            raise ValueError("a foreign key points to one column, as <dataset>.<column>")
        return to


Behaviour = Literal["accept", "refuse", "ask"]


Drift = Literal["freeze", "quarantine", "evolve"]


class DeliveryPolicy(Strict):
    """What happens to deliveries that are not the first of their day, in time: whether they count by themselves."""

    late: Behaviour = Field("accept", description="came after its newest day and the `arrivalDelay` were over")
    corrected: Behaviour = Field("accept", description="stands where another version counts")
    duplicate: Behaviour = Field("accept", description="says what another file says; accepted, it counts once")
    withdrawn: Behaviour = Field("accept", description="the source's manifest takes it back")


class Dialect(Strict):
    """How a delivered text file is written."""

    separator: str = Field(",", description="one character, or the word `blanks` for runs of spaces and tabs")
    header: bool = Field(True, description="whether the first line names the columns")
    encoding: str = Field("utf-8", description="a codec of Python, like `utf-8` or `latin-1`")
    quote: str | None = Field('"', description="the character around fields that hold separators; null for none")
    decimal: Literal[".", ","] = Field(".", description="what stands before the decimals of a number")
    null_values: tuple[str, ...] = Field(("",), alias="nullValues", description="texts that mean: no value")
    compression: Literal["none", "gzip", "zstd", "infer"] = Field(
        "infer", description="`infer`: gzip or zstd when the name ends in .gz or .zst"
    )
    escape: str | None = Field(None, description="the character before one that is meant literally, like a backslash")
    thousands: str | None = Field(None, description="what stands between groups of three digits of a number")
    skip_lines: int = Field(
        0, alias="skipLines", ge=0, description="how many lines stand before the header or the rows"
    )
    comment: str | None = Field(None, description="the character that begins a line which is no row")
    footer: str | None = Field(
        None,
        description="regular expression, found only in the line after the last row; its group `rows` counts them",
    )

    def unfit_for(self, form: str) -> str:
        """Name of a part that was given and says nothing of files of a format, or an empty text."""
        fitting = {"json": {"encoding", "nullValues", "compression"}}.get(form, {"nullValues"})
        return next((name for name in self.model_dump(by_alias=True, exclude_unset=True) if name not in fitting), "")

    def of_objects(self) -> Dialect:
        """The dialect of formats that tell an empty text from no value by themselves."""
        return self if "null_values" in self.model_fields_set else self.model_copy(update={"null_values": ()})

    @field_validator("separator", "quote", "escape", "comment")
    @classmethod
    def _is_one_character(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None or (info.field_name == "separator" and text == "blanks"):
            return text
        if len(text) != 1 or not text.isascii() or text in "\r\n\0":
            otherwise = "the word 'blanks'" if info.field_name == "separator" else "null"
            raise ValueError(f"the {info.field_name} is one ASCII character within a line, or {otherwise}")
        return text

    @field_validator("thousands")
    @classmethod
    def _is_no_digit(cls, text: str | None) -> str | None:
        if text is not None and (len(text) != 1 or text.isalnum() or text in "+-"):
            raise ValueError("what stands between thousands is one character, and no letter, digit or sign")
        return text

    @field_validator("footer")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern or "").groupindex
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        if unknown := set(groups) - {"rows"}:
            raise ValueError(f"a footer tells the number of `rows`, not {', '.join(sorted(unknown))}")
        return pattern

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError(f"encoding {name!r} is unknown; utf-8 and latin-1 are known") from None
        return name

    @model_validator(mode="after")
    def _tells_its_characters_apart(self) -> Dialect:
        taken: dict[str, str] = {}
        for name in ("separator", "quote", "escape", "comment"):
            character = getattr(self, name)
            if character is not None and (other := taken.setdefault(character, name)) != name:
                raise Misplaced(f"{character!r} cannot be both {other} and {name}", name)
        if self.thousands == self.decimal:
            raise Misplaced(f"{self.decimal!r} cannot stand both between thousands and before decimals", "thousands")
        if self.escape and self.separator == "blanks":
            raise Misplaced("an escape needs a separator of one character", "escape")
        return self


class Extract(Strict):
    """How rows are taken out of a table of another database."""

    table: str = Field(min_length=1, description="its name; the server's `schema` says where it stands")
    cursor: str = Field(
        min_length=1, description="column that grows with each change of a row: a time, or a number of a sequence"
    )
    overlap: KeptDuration = Field(
        timedelta(minutes=15), description="how long a transaction of the source may take; of a time only"
    )
    compare_every: KeptDuration = Field(
        timedelta(days=7), alias="compareEvery", description="after what time deleted rows are looked for"
    )


class Privacy(Strict):
    """What happens to a personal column on the way in. Without a grant, personal data is not kept.

    ``vault``: the value is also kept, encrypted, in the vault, as something that its subject is known by; free text of
    the same subject is redacted by it.
    """

    policy: Literal["hash", "tokenise", "generalise", "redact", "drop", "keep"]
    generaliser: Literal["age_band"] | None = None
    purpose: str | None = Field(None, min_length=5)
    vault: Literal["name", "address", "email", "phone", "value"] | None = None

    @property
    def has_pseudonym(self) -> bool:
        """Whether equal values have equal published ones, and others others: what tells rows apart still does."""
        return self.policy in {"hash", "tokenise"}

    @property
    def is_kept(self) -> bool:
        """Whether the vault keeps the value, as it must where a token stands for it."""
        return self.vault is not None or self.policy == "tokenise"

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"policy": value}
        if isinstance(value, dict) and len(value) == 1:
            (policy, argument), *_ = value.items()
            if policy == "generalise":
                return {"policy": policy, "generaliser": argument}
            if policy == "keep":
                return {"policy": policy, "purpose": argument}
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> Privacy:
        if (self.policy == "generalise") != (self.generaliser is not None):
            raise ValueError("generalise needs a target, like {generalise: age_band}")
        if (self.policy == "keep") != (self.purpose is not None):
            raise ValueError("keeping personal data needs a purpose, like {keep: billing}")
        if self.policy == "redact" and self.vault:
            raise ValueError("the vault keeps values, not the free text that is redacted by them")
        return self


class TypeOptions(Strict):
    """ODCS logicalTypeOptions: what a single value must satisfy."""

    pattern: str | None = Field(None, description="regular expression, found in the text; anchor it with ^ and $")
    minimum: float | None = Field(None, description="lowest number, included")
    maximum: float | None = Field(None, description="highest number, included")
    min_length: int | None = Field(None, alias="minLength", ge=0, description="fewest characters")
    max_length: int | None = Field(None, alias="maxLength", ge=0, description="most characters")
    format: str | None = Field(None, description="date or timestamp pattern in Spark's letters, like yyyyMMdd")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _is_ordered(self) -> TypeOptions:
        bounds = ((self.minimum, self.maximum, "maximum"), (self.min_length, self.max_length, "maxLength"))
        for low, high, name in bounds:
            if low is not None and high is not None and low > high:
                raise Misplaced(f"the {name} is below its lower bound: no value could pass", name)
        return self

    def misfit(self, logical_type: str) -> str:
        """Name of an option that says nothing of values of this type, or an empty text."""
        fitting = {
            "string": {"pattern", "minLength", "maxLength"},
            "integer": {"minimum", "maximum"},
            "number": {"minimum", "maximum"},
            "date": {"format"},
            "timestamp": {"format"},
        }
        given = self.model_dump(by_alias=True, exclude_none=True)
        return next((name for name in given if name not in fitting.get(logical_type, set())), "")

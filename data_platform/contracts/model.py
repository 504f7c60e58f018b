"""Strict models of a contract: the part of ODCS 3.1 that we use, and our custom properties.

Anything unknown is an error: a misspelt key must not silently switch a rule off.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Severity = Literal["error", "warning"]
PHYSICAL_TYPE = re.compile(
    r"^(text|smallint|integer|bigint|boolean|date|timestamptz|uuid|double precision|numeric\(\d{1,2},\d{1,2}\))$"
)
LOGICAL_OF_PHYSICAL = {
    "text": "string",
    "uuid": "string",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "double precision": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamptz": "timestamp",
}
NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


def parse_duration(text: object) -> object:
    """``6h``, ``2d``, ``30m`` → timedelta."""
    if isinstance(text, str) and (match := re.fullmatch(r"(\d+)\s*(m|h|d)", text)):
        return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})
    raise ValueError("a duration is a number and m, h or d, like 6h")


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def custom_properties(items: object, *, allowed: set[str]) -> dict[str, Any]:
    """ODCS customProperties (a list of property/value pairs) as a mapping.

    Raises:
        ValueError: for a property that we do not know, or that stands twice.
    """
    found: dict[str, Any] = {}
    for item in items if isinstance(items, list) else [items]:
        if not isinstance(item, dict) or set(item) != {"property", "value"}:
            raise ValueError("customProperties is a list of {property: …, value: …}")
        name = item["property"]
        if name not in allowed:
            raise ValueError(f"unknown custom property {name!r}; known here: {', '.join(sorted(allowed))}")
        if name in found:
            raise ValueError(f"custom property {name!r} stands twice")
        found[name] = item["value"]
    return found


class Dialect(Strict):
    """How a delimited text file is written."""

    separator: str = Field(",", description="one character, or the word `blanks` for runs of spaces and tabs")
    header: bool = True
    encoding: str = "utf-8"
    quote: str | None = '"'
    decimal: Literal[".", ","] = "."
    null_values: tuple[str, ...] = Field(("",), alias="nullValues")
    compression: Literal["none", "gzip", "infer"] = "infer"

    @field_validator("separator")
    @classmethod
    def _is_one_character(cls, text: str) -> str:
        if text != "blanks" and len(text) != 1:
            raise ValueError("the separator is one character, or the word 'blanks'")
        return text


class Privacy(Strict):
    """What happens to a personal column on the way in. Without a grant, personal data is not kept."""

    policy: Literal["hash", "generalise", "drop", "keep"]
    generaliser: Literal["age_band"] | None = None
    purpose: str | None = None

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
        if self.policy == "generalise" and not self.generaliser:
            raise ValueError("generalise needs a target, like {generalise: age_band}")
        if self.policy == "keep" and not self.purpose:
            raise ValueError("keeping personal data needs a purpose, like {keep: billing}")
        return self


COUNT_QUERY = re.compile(
    r"^\s*select\s+count\(\*\)\s+from\s+\{object\}\s+where\s+(?P<condition>.+)$", re.IGNORECASE | re.DOTALL
)


class Quality(Strict):
    """One rule over a dataset or a column: a number of rows, compared with a limit."""

    id: str
    type: Literal["library", "sql"] = "library"
    metric: Literal["nullValues", "invalidValues", "duplicateValues", "rowCount"] | None = None
    arguments: dict[str, Any] = {}
    query: str | None = Field(None, description="select count(*) from {object} where <rows that break the rule>")
    unit: Literal["rows", "percent"] = "rows"
    must_be: float | None = Field(None, alias="mustBe")
    must_be_greater_or_equal: float | None = Field(None, alias="mustBeGreaterOrEqualTo")
    must_be_less_or_equal: float | None = Field(None, alias="mustBeLessOrEqualTo")
    must_be_between: tuple[float, float] | None = Field(None, alias="mustBeBetween")
    severity: Severity
    description: str = Field(min_length=10, description="when and why the limit was set")

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """Lowest and highest allowed value, both included."""
        if self.must_be is not None:
            return self.must_be, self.must_be
        if self.must_be_between is not None:
            return self.must_be_between
        return self.must_be_greater_or_equal, self.must_be_less_or_equal

    @property
    def broken_where(self) -> str:
        """SQL condition of the rows that break an sql rule; they are the examples that a report shows."""
        match = COUNT_QUERY.match(self.query or "")
        return match["condition"].strip() if match else ""

    @model_validator(mode="after")
    def _is_complete(self) -> Quality:
        comparisons = [
            self.must_be is not None,
            self.must_be_between is not None,
            self.must_be_greater_or_equal is not None or self.must_be_less_or_equal is not None,
        ]
        if sum(comparisons) != 1:
            raise ValueError("a rule has one comparison (mustBe, mustBeBetween …)")
        if (self.type == "sql") == (self.metric is not None):
            raise ValueError("a library rule has a `metric`, an sql rule a `query`")
        if self.type == "sql" and not self.broken_where:
            raise ValueError("an sql rule reads `select count(*) from {object} where <rows that break it>`")
        return self


class TypeOptions(Strict):
    """ODCS logicalTypeOptions: what a single value must satisfy."""

    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = Field(None, alias="minLength")
    max_length: int | None = Field(None, alias="maxLength")
    format: str | None = Field(None, description="date or timestamp pattern in Spark's letters, like yyyyMMdd")


class Column(Strict):
    """A column as it is delivered."""

    name: str
    physical_name: str = Field("", alias="physicalName", description="its name in the delivery; default: name")
    logical_type: Literal["string", "integer", "number", "boolean", "date", "timestamp"] = Field(alias="logicalType")
    physical_type: str = Field(alias="physicalType")
    primary_key: bool = Field(False, alias="primaryKey")
    required: bool = False
    unique: bool = False
    classification: Literal["public", "internal", "personal"] = "internal"
    critical: bool = Field(False, alias="criticalDataElement")
    description: str
    options: TypeOptions = Field(TypeOptions(), alias="logicalTypeOptions")
    quality: tuple[Quality, ...] = ()
    privacy: Privacy | None = None

    @model_validator(mode="before")
    @classmethod
    def _lift_custom_properties(cls, value: Any) -> Any:
        if isinstance(value, dict) and "customProperties" in value:
            value = dict(value)
            value.update(custom_properties(value.pop("customProperties"), allowed={"privacy"}))
        return value

    @model_validator(mode="after")
    def _is_consistent(self) -> Column:
        if not NAME.match(self.name):
            raise ValueError(f"column name {self.name!r} is not lower_snake_case")
        if not PHYSICAL_TYPE.match(self.physical_type):
            raise ValueError(
                f"physicalType {self.physical_type!r} is not one of ours (numeric needs precision and scale)"
            )
        logical = LOGICAL_OF_PHYSICAL[self.physical_type.split("(")[0]]
        if logical != self.logical_type:
            raise ValueError(f"physicalType {self.physical_type} is logicalType {logical}, not {self.logical_type}")
        if (self.classification == "personal") != (self.privacy is not None):
            raise ValueError("a column has a `privacy` policy exactly when its classification is personal")
        return self

    @property
    def delivered_name(self) -> str:
        return self.physical_name or self.name

    @property
    def allowed_values(self) -> tuple[str, ...] | None:
        """Values that a row must have one of, when the contract makes that an error for every row."""
        for rule in self.quality:
            if rule.metric == "invalidValues" and rule.severity == "error" and rule.must_be == 0:
                return tuple(str(v) for v in rule.arguments["validValues"])
        return None

    @property
    def published(self) -> Column | None:
        """The column after the personal-data policy, or None where it is dropped."""
        if self.privacy is None or self.privacy.policy == "keep":
            return self
        if self.privacy.policy == "drop":
            return None
        name = f"{self.name}_hash" if self.privacy.policy == "hash" else str(self.privacy.generaliser)
        return Column(
            name=name,
            logicalType="string",
            physicalType="text",
            required=self.required,
            description=f"{self.description} ({self.privacy.policy}d on the way in)".replace("hashd", "hashed"),
        )


class Contract(Strict):
    """One dataset: what its columns are, what must hold for it, and how it comes about."""

    path: Path = Field(description="relative to contracts/")
    id: str
    name: str
    version: str
    status: Literal["draft", "active", "deprecated"]
    domain: str
    purpose: str
    usage: str = ""
    limitations: str = ""
    owner: str
    team: str
    dataset: str
    grain: str
    columns: tuple[Column, ...]
    quality: tuple[Quality, ...] = ()
    # how it comes about
    kind: Literal["events", "snapshot", "interval", "keyed"]
    day_column: str = Field(description="published column with the UTC day a row belongs to")
    day_from_path: bool = Field(False, description="snapshot: the day is {extract_day} in the path")
    unit_key: str | None = Field(None, description="keyed: all rows of one value are rewritten together")
    location: str | None = Field(None, description="sources: path pattern under landing/")
    arrival_delay: timedelta = timedelta(0)
    tolerated_broken_share: float = 0.0
    missing_day: Literal["error", "empty"] = "empty"
    dialect: Dialect = Dialect()
    # features
    entity: str | None = None
    event_timestamp: str | None = None
    # service level
    frequency_days: int = 1
    freshness: timedelta | None = None
    retention: timedelta | None = None

    @property
    def layer(self) -> str:
        """``sources``, ``marts`` or ``features``: the folder it stands in."""
        return self.path.parts[0]

    @property
    def source(self) -> str:
        """The delivering system, for ``contracts/sources/<source>/``."""
        return self.path.parts[1] if self.layer == "sources" else ""

    @property
    def schema_name(self) -> str:
        """Schema that the dataset is published in."""
        return "raw" if self.layer == "sources" else self.layer

    @property
    def table(self) -> str:
        """Qualified name of the published table, like ``raw.purchases``."""
        return f"{self.schema_name}.{self.dataset}"

    @property
    def is_personal(self) -> bool:
        return any(c.classification == "personal" for c in self.columns)

    @cached_property
    def published_columns(self) -> tuple[Column, ...]:
        """The columns of the published table, without ``row_id`` and ``known_at``."""
        published = tuple(p for c in self.columns if (p := c.published))
        if self.day_from_path:
            day = Column(
                name=self.day_column,
                logicalType="date",
                physicalType="date",
                required=True,
                description="Day of the extract, from the file's name.",
            )
            published = (day, *published)
        return published

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Columns that tell rows of the published table apart; in ``raw`` that is the row's identity."""
        if self.layer == "sources":
            return ("row_id",)
        return tuple(c.name for c in self.published_columns if c.primary_key)

    @cached_property
    def unit_column(self) -> str:
        """Column whose values are the units of work: the day, or a keyed table's key."""
        return self.unit_key if self.kind == "keyed" and self.unit_key else self.day_column

    @model_validator(mode="after")
    def _is_consistent(self) -> Contract:
        names = [c.name for c in self.published_columns]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"column {twice[0]!r} stands twice")
        if self.day_column not in names:
            raise ValueError(f"eventDay {self.day_column!r} is not a published column")
        if self.layer != "sources" and not self.key:
            raise ValueError("no column is primaryKey: the grain needs a key")
        if (self.kind == "keyed") != (self.unit_key is not None):
            raise ValueError("unitKey belongs to materialization keyed, and keyed needs it")
        if self.unit_key and self.unit_key not in names:
            raise ValueError(f"unitKey {self.unit_key!r} is not a column")
        return self

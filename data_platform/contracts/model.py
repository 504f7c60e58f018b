"""A contract as the platform sees it: datasets, columns, and what follows from the personal-data policy.

``odcs`` reads it from the standard's form. Attributes speak our words, aliases the standard's.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from data_platform.contracts.consistency import broken_rules
from data_platform.contracts.parts import (
    NAME,
    CustomProperties,
    DeliveryPolicy,
    Dialect,
    Drift,
    Extract,
    Misplaced,
    Privacy,
    Relationship,
    Severity,
    Strict,
    TypeOptions,
)
from data_platform.contracts.quality import Quality
from data_platform.contracts.types import NUMERIC
from data_platform.intervals import REFERENCE_DAY

__all__ = ["Column", "Contract", "Dialect", "Privacy", "Quality", "Severity", "TypeOptions"]

Format = Literal["csv", "json", "parquet", "orc"]
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
MOST_DIGITS = 38  # of Spark's DECIMAL
LAYERS = ("sources", "marts", "features")
# Columns that the platform adds to a table, or to the relations that it is made of.
RESERVED = {"row_id", "known_at", "op", "side", "unit"}


def schema_of(layer: str) -> str:
    """Schema that the datasets of a layer are published in."""
    return "raw" if layer == "sources" else layer


class ColumnProperties(CustomProperties):
    """What we add to a column of ODCS."""

    privacy: Privacy | None = Field(
        None, description="`hash`, `tokenise`, `redact`, `drop`, {generalise: age_band} or {keep: <purpose>}"
    )
    holds: Literal["unknown_fields"] | None = Field(
        None, description="`unknown_fields`: a text column for all that the contract does not name"
    )


class Column(Strict):
    """A column as it is delivered."""

    name: str = Field(description="lower_snake_case; carries the unit, like amount_usd")
    physical_name: str = Field("", alias="physicalName", description="its name in the delivery; default: name")
    logical_type: Literal["string", "integer", "number", "boolean", "date", "timestamp"] = Field(alias="logicalType")
    physical_type: str = Field(alias="physicalType", description="Postgres's type")
    primary_key: bool = Field(False, alias="primaryKey", description="part of the key that the grain names")
    required: bool = Field(False, description="every row has a value")
    unique: bool = Field(False, description="no value repeats")
    classification: Literal["public", "internal", "personal"] = Field(
        "internal", description="personal columns need a `privacy` policy and are hidden from analysts"
    )
    critical: bool = Field(False, alias="criticalDataElement", description="marks what the business cannot do without")
    description: str = Field(min_length=1, description="what a value means; goes into comments, dbt and Feast")
    options: TypeOptions = Field(TypeOptions(), alias="logicalTypeOptions", description="what every value satisfies")
    quality: tuple[Quality, ...] = Field((), description="rules about this column")
    relationships: tuple[Relationship, ...] = Field((), description="columns in which all its values stand")
    custom: ColumnProperties = Field(ColumnProperties(), alias="customProperties", description="`privacy`, `holds`")

    @property
    def privacy(self) -> Privacy | None:
        return self.custom.privacy

    @property
    def delivered_name(self) -> str:
        return self.physical_name or self.name

    @property
    def allowed_values(self) -> tuple[str, ...] | None:
        """Values that a row must have one of, when the contract makes that an error for every row."""
        for rule in self.quality:
            if rule.tells_single_rows and rule.severity == "error":
                return tuple(str(v) for v in rule.arguments["validValues"])
        return None

    @property
    def published(self) -> Column | None:
        """The column after the personal-data policy, or None where it is dropped."""
        if self.privacy is None or self.privacy.policy == "keep":
            return self
        if self.privacy.policy == "drop":
            return None
        name, how = {
            "hash": (f"{self.name}_hash", "hashed"),
            "tokenise": (f"{self.name}_token", "a token"),
            "redact": (self.name, "redacted"),
        }.get(self.privacy.policy, (str(self.privacy.generaliser), "generalised"))
        return Column(
            name=name,
            logicalType="string",
            physicalType="text",
            primaryKey=self.primary_key and self.privacy.has_pseudonym,
            required=self.required,
            unique=self.unique and self.privacy.has_pseudonym,
            description=f"{self.description} ({how} on the way in)",
        )

    @model_validator(mode="after")
    def _has_a_type(self) -> Column:
        if not NAME.match(self.name) or self.name in RESERVED:
            reason = "is the platform's own" if self.name in RESERVED else "is not lower_snake_case"
            raise Misplaced(f"column name {self.name!r} {reason}", "name")
        numeric = NUMERIC.fullmatch(self.physical_type)
        logical = LOGICAL_OF_PHYSICAL.get("numeric" if numeric else self.physical_type)
        if logical is None or (self.physical_type == "numeric"):
            types = ", ".join(t if t != "numeric" else "numeric(<digits>,<decimals>)" for t in LOGICAL_OF_PHYSICAL)
            raise Misplaced(f"physicalType {self.physical_type!r} is unknown; known: {types}", "physicalType")
        if numeric and not (int(numeric[2]) <= int(numeric[1]) <= MOST_DIGITS and int(numeric[1]) > 0):
            limit = f"at most {MOST_DIGITS} digits, and no more decimals than digits"
            raise Misplaced(f"{self.physical_type} is out of range: {limit}", "physicalType")
        if logical != self.logical_type:
            message = f"physicalType {self.physical_type} is logicalType {logical}, not {self.logical_type}"
            raise Misplaced(message, "logicalType")
        if misfit := self.options.misfit(self.logical_type):
            message = f"{misfit} says nothing of a {self.logical_type}"
            raise Misplaced(message, "logicalTypeOptions", misfit)
        return self

    @model_validator(mode="after")
    def _is_consistent(self) -> Column:
        if (self.classification == "personal") != (self.privacy is not None):
            raise ValueError("a column has a `privacy` policy exactly when its classification is personal")
        if self.primary_key and not self.required:
            raise Misplaced(f"column {self.name!r} is part of the key, so it must be required", "primaryKey")
        if self.privacy and self.privacy.generaliser == "age_band" and self.logical_type != "date":
            raise Misplaced("an age band is made of a date", "customProperties", "privacy")
        if self.privacy and self.privacy.policy == "redact" and (self.physical_type != "text" or self.primary_key):
            raise Misplaced("free text is redacted: a column of type text, and no key", "customProperties", "privacy")
        for position, rule in enumerate(self.quality):
            at = ("quality", position)
            if rule.metric == "rowCount":
                raise Misplaced("rowCount is a rule of the dataset, not of a column", *at)
            if rule.metric == "duplicateValues" and rule.arguments:
                raise Misplaced("a column's duplicateValues names no properties", *at, "arguments")
            values = rule.arguments.get("validValues", ())
            if self.logical_type == "string" and not all(isinstance(value, str) for value in values):
                # Without quotes YAML reads NO as false and 007 as 7.
                raise Misplaced("validValues of a text are texts: put them in quotes", *at, "arguments", "validValues")
            if self.published is not self and not rule.tells_single_rows:
                lost = "only invalidValues with mustBe: 0 can be checked before the policy takes the values away"
                raise Misplaced(f"rule {rule.id!r} of a column that is not kept: {lost}", *at)
        return self


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
    kind: Literal["events", "snapshot", "reference", "table", "interval", "keyed"]
    day_column: str = Field(description="published column with the UTC day a row belongs to")
    day_from_path: bool = Field(False, description="snapshot: the day is {extract_day} in the path")
    unit_key: str | None = Field(None, description="keyed: all rows of one value are rewritten together")
    location: str | None = Field(None, description="sources: path pattern under landing/")
    arrival_delay: timedelta = timedelta(0)
    tolerated_broken_share: float = 0.0
    missing_day: Literal["error", "empty"] = "empty"
    on_delivery: DeliveryPolicy = DeliveryPolicy()
    extract: Extract | None = Field(None, description="table: how its rows become deliveries")
    source_schema: str = Field("public", description="table: where it stands in its database")
    schema_drift: Drift | None = Field(None, description="as the contract says it; `drift` is what holds")
    format: Format = "csv"
    dialect: Dialect = Dialect()
    subject: str | None = Field(None, description="sources: column that says whose personal data a row holds")
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
        return schema_of(self.layer)

    @property
    def table(self) -> str:
        """Qualified name of the published table, like ``raw.purchases``."""
        return f"{self.schema_name}.{self.dataset}"

    @property
    def table_columns(self) -> tuple[str, ...]:
        """Names of all columns of the published table: also its rows' identity, and since when they are known."""
        identity = ("row_id",) if self.layer == "sources" else ()
        return (*identity, *(c.name for c in self.published_columns), "known_at")

    @property
    def is_reference(self) -> bool:
        """Whether all rows are replaced together: they belong to no day, and stand in ``REFERENCE_DAY``."""
        return self.kind == "reference"

    @property
    def adds_day(self) -> bool:
        """Whether the platform adds the day's column to those that are delivered."""
        return self.day_from_path or self.is_reference

    @property
    def unknown_fields(self) -> str | None:
        """Name of the column for fields that the contract does not name, where it has one."""
        return next((c.name for c in self.columns if c.custom.holds == "unknown_fields"), None)

    @property
    def drift(self) -> Drift:
        """What becomes of a file, or an object, with other columns than these."""
        by_default: Drift = "evolve" if self.unknown_fields else "freeze" if self.format == "csv" else "quarantine"
        return self.schema_drift or by_default

    @property
    def is_personal(self) -> bool:
        return any(c.classification == "personal" for c in self.columns)

    @property
    def refers_to(self) -> frozenset[str]:
        """The datasets, its own may be among them, that foreign keys of it point to which can stop a run."""
        keys = (each for column in self.columns for each in column.relationships)
        return frozenset(key.dataset for key in keys if key.custom.severity == "error")

    @property
    def vaulted_columns(self) -> tuple[Column, ...]:
        """Columns whose values the vault keeps."""
        return tuple(c for c in self.columns if c.privacy and c.privacy.is_kept)

    @property
    def identifying_columns(self) -> tuple[Column, ...]:
        """Columns whose values a row's subject is known by: texts are redacted by them."""
        return tuple(c for c in self.columns if c.privacy and c.privacy.vault)

    @property
    def redacted_columns(self) -> tuple[Column, ...]:
        """Columns of free text that is redacted."""
        return tuple(c for c in self.columns if c.privacy and c.privacy.policy == "redact")

    @cached_property
    def published_columns(self) -> tuple[Column, ...]:
        """The columns of the published table, without ``row_id`` and ``known_at``."""
        published = tuple(p for c in self.columns if (p := c.published))
        if self.adds_day:
            always = f"Always {REFERENCE_DAY}: the rows of a reference table belong to no day."
            day = Column(
                name=self.day_column,
                logicalType="date",
                physicalType="date",
                required=True,
                description=always if self.is_reference else "Day of the extract, from the file's name.",
            )
            published = (day, *published)
        return published

    @property
    def masked_columns(self) -> frozenset[str]:
        """Published columns that hold personal data for a purpose; to be shown to people is not that purpose."""
        return frozenset(c.name for c in self.published_columns if c.classification == "personal")

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Columns that tell rows of the published table apart; in ``raw`` that is the row's identity."""
        if self.layer == "sources":
            return ("row_id",)
        return tuple(c.name for c in self.published_columns if c.primary_key)

    @cached_property
    def entity_key(self) -> tuple[str, ...]:
        """Snapshot: published columns that tell an extract's rows apart and may be kept of a row in quarantine.

        Empty when a part of the key is personal, or not published in a form that still tells rows apart.
        """
        parts = [c.published for c in self.columns if c.primary_key] if self.kind == "snapshot" else []
        if any(part is None or not part.primary_key or part.classification == "personal" for part in parts):
            return ()
        return tuple(part.name for part in parts if part)

    @cached_property
    def unit_column(self) -> str:
        """Column whose values are the units of work: the day, or a keyed table's key."""
        return self.unit_key if self.kind == "keyed" and self.unit_key else self.day_column

    @model_validator(mode="after")
    def _is_consistent(self) -> Contract:
        for broken in broken_rules(self):
            raise broken
        return self

"""The Open Data Contract Standard 3.1's form of a contract, as far as we use it, and its way into our model."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from data_platform.contracts.model import LAYERS, Column, Contract, Format
from data_platform.contracts.parts import (
    CustomProperties,
    DeliveryPolicy,
    Dialect,
    Drift,
    Duration,
    Extract,
    Misplaced,
    Strict,
)
from data_platform.contracts.quality import Quality

SUFFIX = ".odcs.yaml"
EXTRACT_DAY = "{extract_day}"
# What speaks of the days of rows says nothing of a reference table, whose rows have none.
OF_DAYS = {
    "event_day": "eventDay",
    "extract_day": "extractDay",
    "arrival_delay": "arrivalDelay",
    "missing_day": "missingDay",
}


class Description(Strict):
    purpose: str = Field(min_length=1, description="what the dataset is for")
    usage: str = Field("", description="who uses it, and who must not")
    limitations: str = Field("", description="what it cannot tell")


class Member(Strict):
    username: str = Field(description="an address that answers")
    role: str = Field(description="`owner` is who answers for the data")


class Team(Strict):
    name: str
    members: tuple[Member, ...] = Field(min_length=1)


class Server(Strict):
    server: str = Field(description="`landing` or `warehouse`")
    type: Literal["local", "postgres"] = Field(description="`local` for sources, `postgres` for marts and features")
    path: str | None = Field(None, description="where deliveries land, like landing/shop/purchases/*.txt")
    format: Format | None = Field(
        None, description="`csv` for delimited text of any dialect; `json` for lines or an array; `parquet`, `orc`"
    )
    host: str | None = Field(None, description="for the standard's sake; connections come from settings")
    port: int | None = Field(None, description="as host")
    database: str | None = Field(None, description="as host")
    db_schema: str | None = Field(
        None, alias="schema", description="`marts` or `features`, as the folder; of a table where it stands"
    )


class Table(Strict):
    name: str = Field(description="the dataset: file, table and model are called so")
    physical_type: Literal["table"] = Field("table", alias="physicalType")
    description: str = ""
    grain: str = Field(alias="dataGranularityDescription", min_length=1, description="what one row is")
    properties: tuple[Column, ...] = Field(min_length=1, description="the columns, in the delivery's order")
    quality: tuple[Quality, ...] = Field((), description="rules about the whole")


class ServiceLevel(Strict):
    name: Literal["frequency", "freshness", "retention"] = Field(
        alias="property",
        description="days between deliveries, age that the newest row may reach, time that rows are kept",
    )
    value: int = Field(gt=0)
    unit: Literal["d", "h", "m", "y"] = Field(description="days, hours, minutes or years (of 365 days)")
    element: str | None = Field(None, description="the column it speaks of, as dataset.column")

    @property
    def length(self) -> timedelta:
        unit = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "y": timedelta(days=365)}
        return self.value * unit[self.unit]


class DatasetProperties(CustomProperties):
    """What we add to a contract of ODCS."""

    kind: Literal["events", "snapshot", "reference", "table"] | None = Field(
        None,
        alias="datasetKind",
        description="of a source: rows of their own days, full extracts, a table replaced whole, or another database",
    )
    extract: Extract | None = Field(None, description="of a table: how its rows are taken out of its database")
    materialization: Literal["interval", "keyed"] | None = Field(
        None, description="of marts and features: rebuilt by day, or by key"
    )
    event_day: str | None = Field(None, alias="eventDay", description="column with the UTC day a row belongs to")
    extract_day: Literal["path"] | None = Field(
        None, alias="extractDay", description="`path`: the day is {extract_day} in the file's path"
    )
    unit_key: str | None = Field(
        None, alias="unitKey", description="keyed: the column whose rows are rewritten together"
    )
    arrival_delay: Duration = Field(
        "0h", alias="arrivalDelay", validate_default=True, description="after the end of a day, when its rows are known"
    )
    tolerated_broken_share: float = Field(
        0.0, alias="toleratedBrokenShare", ge=0, le=1, description="share of broken rows beyond which a file fails"
    )
    missing_day: Literal["error", "empty"] = Field(
        "empty", alias="missingDay", description="whether a day without files is an error or a day without rows"
    )
    on_delivery: DeliveryPolicy = Field(
        DeliveryPolicy(), alias="onDelivery", description="what does not count by itself: refused, or a person is asked"
    )
    schema_drift: Drift | None = Field(
        None, alias="schemaDrift", description="of files: what becomes of one whose columns are not the contract's"
    )
    dialect: Dialect = Field(Dialect(), description="how the text is written")
    subject: str | None = Field(
        None, description="of a source: the column that says whose personal data a row holds, like customer_id"
    )
    entity: str | None = Field(None, description="of features: Feast's entity")
    event_timestamp: str | None = Field(
        None, alias="eventTimestamp", description="of features: the column with the time from which a row holds"
    )


class Document(Strict):
    """A contract file."""

    api_version: Literal["v3.1.0"] = Field(alias="apiVersion", description="of the standard")
    document_kind: Literal["DataContract"] = Field(alias="kind")
    id: str
    name: str = Field(description="for people")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$", description="of this contract")
    status: Literal["draft", "active", "deprecated"]
    domain: str
    description: Description
    team: Team
    servers: tuple[Server, ...] = Field(min_length=1, max_length=1)
    tables: tuple[Table, ...] = Field(alias="schema", min_length=1, max_length=1, description="one table a contract")
    service_levels: tuple[ServiceLevel, ...] = Field((), alias="slaProperties")
    ours: DatasetProperties = Field(DatasetProperties(), alias="customProperties", description="what we add")

    def to_contract(self, path: Path) -> Contract:
        """The contract that stands at ``path`` below contracts/.

        Raises:
            Misplaced: when parts of the file, or the file and its folder, contradict each other.
        """
        self._fits_its_folder(path)
        table, ours, server = self.tables[0], self.ours, self.servers[0]
        levels = self._levels_by_name(table)
        return Contract(
            path=path,
            id=self.id,
            name=self.name,
            version=self.version,
            status=self.status,
            domain=self.domain,
            purpose=self.description.purpose,
            usage=self.description.usage,
            limitations=self.description.limitations,
            owner=next((m.username for m in self.team.members if m.role == "owner"), self.team.members[0].username),
            team=self.team.name,
            dataset=table.name,
            grain=table.grain,
            columns=table.properties,
            quality=table.quality,
            kind=ours.kind or ours.materialization or "events",
            day_column=ours.event_day or ("reference_day" if ours.kind == "reference" else "extract_day"),
            day_from_path=ours.extract_day == "path",
            unit_key=ours.unit_key,
            location=server.path if ours.extract is None else f"landing/{path.parts[1]}/{table.name}/*.jsonl",
            extract=ours.extract,
            source_schema=(ours.extract and server.db_schema) or "public",
            arrival_delay=ours.arrival_delay,
            tolerated_broken_share=ours.tolerated_broken_share,
            missing_day=ours.missing_day,
            on_delivery=ours.on_delivery,
            schema_drift=ours.schema_drift,
            format=self._format,
            dialect=ours.dialect if self._format == "csv" else ours.dialect.of_objects(),
            subject=ours.subject,
            entity=ours.entity,
            event_timestamp=ours.event_timestamp,
            frequency_days=levels["frequency"].length.days if "frequency" in levels else 1,
            freshness=levels["freshness"].length if "freshness" in levels else None,
            retention=levels["retention"].length if "retention" in levels else None,
        )

    @property
    def _format(self) -> Format:
        return "json" if self.ours.extract else self.servers[0].format or "csv"

    def _fits_its_folder(self, path: Path) -> None:
        ours, (server,), layer = self.ours, self.servers, path.parts[0]
        at = "customProperties"
        if layer not in LAYERS or len(path.parts) != (3 if layer == "sources" else 2):
            raise Misplaced("contracts stand in sources/<source>/, marts/ or features/")
        if path.name != (expected := f"{self.tables[0].name}{SUFFIX}"):
            raise Misplaced(f"the file is named {path.name}; its dataset asks for {expected}", "schema", 0, "name")
        is_source = layer == "sources"
        if (ours.kind is not None) != is_source or (ours.materialization is not None) == is_source:
            raise Misplaced("contracts/sources declare datasetKind, marts and features declare materialization", at)
        if ours.kind == "reference":
            self._has_no_days()
        else:
            self._tells_the_day(layer)
        is_table = ours.kind == "table"
        if server.type != ("local" if is_source and not is_table else "postgres"):
            raise Misplaced(
                "the server of a source is local, that of a table, of marts and features postgres", "servers", 0, "type"
            )
        if is_table != (ours.extract is not None):
            raise Misplaced("a table of another database, and nothing else, says how to `extract` it", at)
        if ours.schema_drift and (is_table or not is_source):
            raise Misplaced("only deliveries of files have columns of their own", at, "schemaDrift")
        if is_table:
            self._is_of_another_database(server)
        elif is_source:
            self._lands_in_landing(server)
            if server.format and server.format != "csv" and (unfit := ours.dialect.unfit_for(server.format)):
                raise Misplaced(f"{unfit} says nothing of {server.format}", at, "dialect", unfit)
        elif server.path is not None or server.db_schema != layer:
            raise Misplaced(f"a contract in contracts/{layer} is published in schema {layer}", "servers", 0, "schema")

    def _tells_the_day(self, layer: str) -> None:
        ours, at = self.ours, "customProperties"
        if (ours.event_day is None) == (ours.extract_day is None):
            raise Misplaced("exactly one of eventDay and extractDay tells the day of a row", at)
        if ours.extract_day and layer != "sources":
            raise Misplaced("only deliveries have an extractDay; name the eventDay", at, "extractDay")
        if ours.kind == "snapshot" and not ours.extract_day:
            raise Misplaced("a snapshot's day is that of its extract: say extractDay: path", at, "eventDay")

    def _has_no_days(self) -> None:
        at, ours = "customProperties", self.ours
        why = "the rows of a reference table belong to no day: what is delivered now is the table"
        if given := next((alias for name, alias in OF_DAYS.items() if name in ours.model_fields_set), None):
            raise Misplaced(f"{why}; leave {given} out, or say datasetKind: events or snapshot", at, given)
        if ours.on_delivery.late != "accept":
            raise Misplaced(f"{why}, and is never late; leave it out", at, "onDelivery", "late")
        if self.service_levels:
            level = self.service_levels[0].name
            raise Misplaced(f"{why}, whenever that came; leave {level} out", "slaProperties", 0, "property")

    def _is_of_another_database(self, server: Server) -> None:
        if unfit := next((name for name in ("path", "format") if getattr(server, name) is not None), None):
            raise Misplaced(f"a table has no {unfit}", "servers", 0, unfit)
        if self.ours.extract_day or "dialect" in self.ours.model_fields_set:
            raise Misplaced("a table has an eventDay, and no dialect", "customProperties")
        if self.ours.on_delivery != DeliveryPolicy():
            # The first version of a day may hold a part of its rows, and all others are corrections of it.
            raise Misplaced(
                "each change of a table is a corrected delivery: onDelivery accepts all", "customProperties"
            )
        for position, column in enumerate(self.tables[0].properties):
            if column.custom.holds or column.options.format:
                what = "format: its times are ISO texts" if column.options.format else "fields that nobody named"
                raise Misplaced(f"a table's column has no {what}", "schema", 0, "properties", position)

    def _lands_in_landing(self, server: Server) -> None:
        location = server.path or ""
        parts = Path(location).parts
        if len(parts) < 3 or parts[0] != "landing" or ".." in parts:
            example = "a delivery's path looks like landing/<source>/<dataset>/*.csv"
            raise Misplaced(f"path {location!r} is outside landing; {example}", "servers", 0, "path")
        if (EXTRACT_DAY in location) != (self.ours.extract_day == "path"):
            raise Misplaced(f"{EXTRACT_DAY} stands in the path exactly when extractDay is path", "servers", 0, "path")

    def _levels_by_name(self, table: Table) -> dict[str, ServiceLevel]:
        levels: dict[str, ServiceLevel] = {}
        known = {f"{table.name}.{column.name}" for column in table.properties}
        for position, level in enumerate(self.service_levels):
            if level.name in levels:
                raise Misplaced(f"{level.name} stands twice", "slaProperties", position)
            if level.element is not None and level.element not in known:
                raise Misplaced(f"{level.element!r} is not a column", "slaProperties", position, "element")
            levels[level.name] = level
        return levels

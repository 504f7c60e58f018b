"""Contracts made up by hypothesis."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from data_platform.contracts.model import LOGICAL_OF_PHYSICAL, RESERVED, Column, Contract

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in {*RESERVED, "day", "age_band"}
)
texts = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=20)
numerics = st.integers(1, 38).flatmap(lambda p: st.integers(0, p).map(lambda s: f"numeric({p},{s})"))
physical_types = st.sampled_from([kind for kind in LOGICAL_OF_PHYSICAL if kind != "numeric"]) | numerics


@st.composite
def rules(draw: st.DrawFn, column: bool) -> dict[str, Any]:
    metric = draw(st.sampled_from(["nullValues", "invalidValues"] if column else ["rowCount"]))
    values = draw(st.lists(texts, min_size=1, max_size=3))
    return {
        "id": f"r{draw(st.integers(0, 10**9))}",
        "metric": metric,
        "arguments": {"validValues": values} if metric == "invalidValues" else {},
        draw(st.sampled_from(["mustBe", "mustBeLessOrEqualTo"])): draw(st.integers(0, 100)),
        "severity": draw(st.sampled_from(["error", "warning"])),
        "description": "2026-11 made up by chance.",
    }


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    kind = draw(physical_types)
    logical = LOGICAL_OF_PHYSICAL[kind.split("(")[0]]
    options: dict[str, Any] = {}
    if logical in {"integer", "number"} and draw(st.booleans()):
        options = {"minimum": draw(st.integers(-5, 5)), "maximum": draw(st.integers(5, 10) | st.floats(5, 10))}
    policy = draw(st.sampled_from([None, None, "hash", "drop", {"keep": "a good purpose"}]))
    kept = policy is None or isinstance(policy, dict)
    quality = draw(st.lists(rules(column=True), max_size=2, unique_by=lambda rule: rule["id"]))
    return Column(
        name=name,
        physicalName=draw(st.just("") | st.just(f"delivered {name}")),
        logicalType=logical,
        physicalType=kind,
        required=draw(st.booleans()),
        unique=draw(st.booleans()),
        classification="personal" if policy else draw(st.sampled_from(["public", "internal"])),
        description=draw(texts),
        logicalTypeOptions=options,
        quality=quality if kept and logical == "string" else [],
        customProperties={"privacy": policy} if policy else {},
    )


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    found = draw(st.lists(names, min_size=1, max_size=5, unique=True).filter(_hashes_are_new))
    day = Column(name="day", logicalType="date", physicalType="date", required=True, description="the day")
    made = [day, *(draw(columns(name)) for name in found)]
    taken = {rule.id for column in made for rule in column.quality}
    whole = draw(st.lists(rules(column=False), max_size=2, unique_by=lambda rule: rule["id"]))
    ids = [rule.id for column in made for rule in column.quality]
    if len(ids) != len(set(ids)):
        made = [column.model_copy(update={"quality": ()}) for column in made]
    return Contract(
        path=Path("sources/shop/made_up.odcs.yaml"),
        id="made_up",
        name=draw(texts),
        version="1.0.0",
        status="active",
        domain="shop",
        purpose=draw(texts),
        owner="somebody",
        team="team",
        dataset="made_up",
        grain=draw(texts),
        columns=made,
        quality=[rule for rule in whole if rule["id"] not in taken],
        kind="events",
        day_column="day",
        location="landing/shop/made_up/*.csv",
        arrival_delay=timedelta(minutes=draw(st.integers(0, 10**5))),
        tolerated_broken_share=draw(st.floats(0, 1)),
        dialect={
            "separator": draw(st.sampled_from([",", ";", "blanks"])),
            "nullValues": draw(st.lists(texts, max_size=3)),
        },
        freshness=draw(st.none() | st.just(timedelta(days=2))),
    )


def _hashes_are_new(found: list[str]) -> bool:
    return not {f"{name}_hash" for name in found} & set(found)

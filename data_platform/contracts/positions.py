"""Where in a YAML file something stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import yaml

Location = Iterable[str | int]


def position(node: yaml.Node | None, location: Location) -> tuple[int, int]:
    """Line and column, both from 1, of the deepest node on the way that exists in the file."""
    if node is None:
        return 1, 1
    mark = node.start_mark
    for step in location:
        found = _child(node, step)
        if found is None:
            break
        mark, node = found
    return mark.line + 1, mark.column + 1


def twin_keys(node: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """Keys that stand twice in one mapping, with the second one's place; YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark.line + 1, key.start_mark.column + 1
            seen.add(key.value)
            yield from twin_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from twin_keys(item)


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == step), None)
    if not isinstance(node, yaml.SequenceNode):
        return None
    if isinstance(step, int):
        return (node.value[step].start_mark, node.value[step]) if step < len(node.value) else None
    for item in node.value:  # a list of {property: …, value: …}, which models read as one mapping
        name, value = _child(item, "property"), _child(item, "value")
        if name is not None and value is not None and name[1].value == step:
            return item.start_mark, value[1]
    return None

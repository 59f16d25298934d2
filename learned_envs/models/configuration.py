"""Configurations as frozen dataclasses that go through JSON and come back equal.

A field that may hold one of several classes (which codec, which dynamics) is written with the
class's name under `kind`, so that a file says what it holds and nothing is unpickled.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_KINDS: dict[str, type] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def configuration(cls: type[T]) -> type[T]:
    """Class decorator: a frozen, keyword-only, slotted dataclass that is known by its name."""
    made = dataclasses.dataclass(frozen=True, kw_only=True, slots=True)(cls)
    _KINDS[cls.__name__] = made
    return made


def to_json(value: Any) -> Any:
    """Turns a configuration into dicts, lists and scalars."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def from_json(value: Any) -> Any:
    """Rebuilds what `to_json` wrote; lists become tuples.

    Raises:
        ValueError: If a kind is unknown to this version, or its fields are not those expected.
    """
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"configuration kind {kind!r} is unknown; known: {sorted(_KINDS)}")
    known = {f.name for f in dataclasses.fields(_KINDS[kind])}
    given = {name: from_json(item) for name, item in value.items() if name != "kind"}
    if unknown := set(given) - known:
        raise ValueError(f"{kind} has no fields {sorted(unknown)}; it has {sorted(known)}")
    return _KINDS[kind](**given)

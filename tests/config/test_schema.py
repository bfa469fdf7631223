from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prm_search.config import field_docs, schema_of, type_name


class Color(StrEnum):
    red = "red"
    green = "green"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    width: int = 3
    """How wide,
    in cells."""
    color: Color = Color.red


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    needed: int
    """Must be given."""
    limit: float | None = None
    levels: tuple[int, ...] = (1, 2)
    inner: Inner = Inner(width=5)
    maybe: Inner | None = None
    table: Mapping[str, float] = field(default_factory=dict[str, float])
    factory: Callable[[], object]
    state: list[int] = field(default_factory=list[int], init=False)


@dataclass(frozen=True, kw_only=True)
class Derived(Inner):
    width: int = 9
    height: int = 1
    """How high."""


def test_the_schema_of_a_frozen_dataclass_takes_overrides() -> None:
    config = OmegaConf.structured(schema_of(Outer))
    config.needed = 1
    config.inner.color = "green"
    config.limit = 2
    config.maybe = schema_of(Inner)(width=7)
    assert config.inner.color is Color.green
    assert config.limit == 2.0
    assert config.maybe.color is Color.red


def test_defaults_come_from_the_dataclass() -> None:
    values = OmegaConf.to_container(OmegaConf.structured(schema_of(Outer)))
    assert isinstance(values, dict)
    assert values["_target_"] == f"{__name__}.Outer"
    assert values["needed"] == "???"
    assert values["levels"] == [1, 2]
    assert values["inner"]["width"] == 5
    assert values["table"] == {}
    assert "state" not in values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("needed", "many"),
        ("limit", "low"),
        ("levels", ["one"]),
        ("inner.width", 1.5),
        ("inner.color", "blue"),
        ("inner.widht", 3),
        ("limt", 3),
        ("table", {"a": "b"}),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: object) -> None:
    config = OmegaConf.structured(schema_of(Outer))
    with pytest.raises(OmegaConfBaseException):
        OmegaConf.update(config, name, value)


def test_a_class_has_one_schema() -> None:
    assert schema_of(Inner) is schema_of(Inner)


def test_docstrings_under_fields_are_found_on_one_line() -> None:
    assert field_docs(Inner) == {"width": "How wide, in cells.", "color": ""}


def test_a_field_without_a_docstring_keeps_that_of_its_base() -> None:
    assert field_docs(Derived)["width"] == "How wide, in cells."
    assert field_docs(Derived)["height"] == "How high."


def test_types_are_named_as_a_user_writes_values() -> None:
    assert type_name(int) == "int"
    assert type_name(float | None) == "float or null"
    assert type_name(Color) == "red or green"
    assert type_name(tuple[int, ...]) == "tuple of int"

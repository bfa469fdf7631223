"""From frozen dataclasses to Hydra schemas.

A hyperparameter is defined once: as a field of the dataclass that uses it, with its default
and its docstring. The schema that Hydra checks overrides against and the help of the command
line are both derived from there.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import omegaconf

TARGET = "_target_"
PARTIAL = "_partial_"


@cache
def schema_of(cls: type) -> type:
    """An unfrozen twin of a dataclass, with `_target_`, that OmegaConf can check values against.

    A frozen dataclass itself would make its part of the configuration read-only. Fields without
    a default become mandatory. Nested dataclasses become nested schemas. Fields of a type that
    OmegaConf does not know (protocols, callables) are not checked here; what fills them has a
    `_target_`, and so a schema, of its own.

    Raises:
        TypeError: if `cls` is no dataclass.
    """
    hints = get_type_hints(cls)
    items: list[tuple[str, Any, Any]] = [
        (TARGET, str, field(default=f"{cls.__module__}.{cls.__qualname__}"))
    ]
    for item in fields(cls):
        if item.init:
            kind = _schema_type(hints[item.name])
            items.append((item.name, kind, _schema_default(item, kind)))
    return make_dataclass(
        cls.__name__, items, kw_only=True, namespace={"__module__": cls.__module__}
    )


def field_docs(cls: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, on one line."""
    docs: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if is_dataclass(base)]):
        definition = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        body = cast("ast.ClassDef", definition).body
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                name = statement.target.id
                docs[name] = _docstring(following) or docs.get(name, "")
    return docs


def type_name(kind: Any) -> str:
    """A type as the help shows it: `int`, `float or null`, `min, product or last`."""
    if _is_class(kind, Enum):
        *others, last = kind.__members__
        return f"{', '.join(others)} or {last}" if others else last
    arguments = [type_name(item) for item in get_args(kind) if item is not Ellipsis]
    if _is_union(kind):
        return " or ".join(["null" if name == "NoneType" else name for name in arguments])
    if arguments:
        origin: Any = get_origin(kind)
        return f"{origin.__name__} of {', '.join(arguments)}"
    return str(getattr(cast("object", kind), "__name__", kind))


def _docstring(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return ""


def _is_class(hint: Any, base: type) -> bool:
    return isinstance(hint, type) and not get_args(hint) and issubclass(hint, base)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _schema_type(hint: Any) -> Any:
    """The type that stands for a hint in a schema; Any if OmegaConf has none."""
    if hint in (int, float, bool, str) or _is_class(hint, Enum):
        return hint
    if isinstance(hint, type) and is_dataclass(hint):
        return schema_of(hint)
    arguments = [_schema_type(item) for item in get_args(hint) if item is not Ellipsis]
    if _is_union(hint):
        inner = [_schema_type(item) for item in get_args(hint) if item is not NoneType]
        return inner[0] | None if len(inner) == 1 else Any
    if get_origin(hint) in (list, tuple, Sequence) and len(arguments) == 1:
        return list[arguments[0]]
    if get_origin(hint) in (dict, Mapping):
        return dict[arguments[0], arguments[1]]
    return Any


def _schema_default(item: Field[Any], kind: Any) -> Any:
    if item.default_factory is not MISSING:
        factory = item.default_factory
        return field(default_factory=lambda: _plain(factory(), kind))
    if item.default is MISSING:
        return field(default=omegaconf.MISSING)
    return field(default_factory=lambda: _plain(item.default, kind))


def _plain(value: Any, kind: Any) -> Any:
    """A default as OmegaConf takes it: schemas for dataclasses, lists for tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        schema = kind if is_dataclass(kind) else schema_of(type(value))
        nested = {item.name: item.type for item in fields(cast("Any", schema))}
        return cast("Any", schema)(
            **{
                name: _plain(getattr(value, name), nested[name])
                for name in nested
                if name != TARGET
            }
        )
    if isinstance(value, (tuple, frozenset)):
        return list(cast("Sequence[object]", value))
    return dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else value

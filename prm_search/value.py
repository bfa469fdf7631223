"""Values that are sent from process to process by the thousand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any


class Value:
    """Base of frozen dataclasses with slots: pickled as the bare values of their fields.

    What `dataclasses` makes looks up the names of the fields for every single object. Like there,
    `__post_init__` is not called on the way back.

    Raises:
        TypeError: if an object that is pickled has more than slots.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[..., Value], tuple[Any, ...]]:
        return _restore, (type(self), *(_reader(type(self))(self)))


def _restore(cls: type[Value], *values: Any) -> Value:
    value = object.__new__(cls)
    for write, part in zip(_writers(cls), values, strict=True):
        write(value, part)
    return value


@cache
def _reader(cls: type[Any]) -> Callable[[Value], tuple[Any, ...]]:
    if cls.__dictoffset__:
        raise TypeError(f"{cls.__name__} is no dataclass with slots, so it cannot be sent")
    names = [each.name for each in fields(cls)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


@cache
def _writers(cls: type[Any]) -> tuple[Callable[[Value, Any], None], ...]:
    return tuple(getattr(cls, each.name).__set__ for each in fields(cls))

"""Coroutines side by side, without a loose end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def gather_all(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> tuple[Result, ...]:
    """The results, in the order given.

    If one of them raises, the others are cancelled and waited for, and its error is raised as
    it is rather than within a group.
    """
    failure: BaseException | None = None
    tasks: list[asyncio.Task[Result]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        failure = errors.exceptions[0]
    if failure is not None:
        raise failure
    return tuple(task.result() for task in tasks)

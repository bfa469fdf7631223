"""Whether two answers are the same answer."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache

from prm_search.errors import ConfigurationError, EngineError, GradingError
from prm_search.grading.extraction import AnswerPattern, extract_answer
from prm_search.grading.normalization import clean, normalize, same_words
from prm_search.grading.pool import Comparison, WorkerPool

_REASONS = {
    Comparison.unreadable: "one of them cannot be read as mathematics",
    Comparison.too_long: "one of them has more than {max_characters} characters",
    Comparison.time: "it takes more than {max_seconds:g} seconds",
    Comparison.memory: "it takes more than {max_memory_mib} MiB of memory",
    Comparison.crash: "the process that compared them died, and so did a second one",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class GraderSettings:
    """How answers are found and compared."""

    patterns: list[AnswerPattern] = field(default_factory=lambda: list(AnswerPattern))
    """How solutions state their answer; the first pattern that finds one decides."""
    num_processes: int = 2
    """Processes that compare answers; started when first needed."""
    max_seconds: float = 5.0
    """CPU time for one comparison, in seconds."""
    max_characters: int = 1000
    """Longer answers are not gradable."""
    max_memory_mib: int = 1024
    """Address space of one process, in MiB; at least 512. A process itself takes about 64."""
    cache_size: int = 16384
    """How many comparisons are remembered."""

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ConfigurationError("grader.patterns is empty; name at least one pattern")
        for name, minimum in (
            ("num_processes", 1),
            ("max_characters", 1),
            ("max_memory_mib", 512),
            ("cache_size", 0),
        ):
            if getattr(self, name) < minimum:
                raise ConfigurationError(
                    f"grader.{name} is {getattr(self, name)}; it must be at least {minimum}"
                )
        if not 0 < self.max_seconds < float("inf"):
            raise ConfigurationError(
                f"grader.max_seconds is {self.max_seconds}; it must be above 0 and finite"
            )


class MathGrader:
    """Grades by math-verify, in processes of its own, after a comparison of strings.

    It can be used from any thread and any event loop, several at a time, and can be pickled.
    Equivalence is symmetric and reflexive. Like that of math-verify it is not transitive:
    0.333333 equals 1/3, but only up to six decimal places.
    """

    def __init__(self, settings: GraderSettings | None = None) -> None:
        self.settings = settings or GraderSettings()
        self._lock = threading.Lock()
        self._ungradable: Counter[Comparison] = Counter()
        self._pool: WorkerPool | None = None
        self._pool_owner = 0  # process id
        self._submit: Callable[[str, str], Future[Comparison]]
        self._forget: Callable[[], None]

    def __reduce__(self) -> tuple[type[MathGrader], tuple[GraderSettings]]:
        return MathGrader, (self.settings,)

    @property
    def ungradable(self) -> Mapping[Comparison, int]:
        """How many calls could not be answered, by reason."""
        with self._lock:
            return dict(self._ungradable)

    @property
    def num_ungradable(self) -> int:
        """How many calls could not be answered."""
        return sum(self.ungradable.values())

    def extract(self, solution: str) -> str | None:
        """The final answer in a solution, or None if there is none."""
        return extract_answer(solution, self.settings.patterns)

    async def equivalent(self, first: str, second: str) -> bool:
        """Whether two answers are equivalent.

        Raises:
            GradingError: if it cannot be told; counted in `ungradable`.
            EngineError: if no process can be started, whatever the answers.
        """
        result = self._compare_strings(first, second)
        if result is None:
            # The order does not matter, so both orders share one entry of the cache.
            future = self._future(*sorted((clean(first), clean(second))))
            # The cache shares the future: one caller that is cancelled must not cancel it.
            try:
                result = await asyncio.shield(asyncio.wrap_future(future))
            except EngineError:
                self._forget()
                raise
        if result in (Comparison.equal, Comparison.different):
            return result is Comparison.equal
        with self._lock:
            self._ungradable[result] += 1
        reason = _REASONS[result].format(
            max_characters=self.settings.max_characters,
            max_seconds=self.settings.max_seconds,
            max_memory_mib=self.settings.max_memory_mib,
        )
        raise GradingError(
            f"not gradable: {_excerpt(first)} and {_excerpt(second)} cannot be compared, "
            f"because {reason}"
        )

    def close(self) -> None:
        """End the processes. They are started again if needed.

        Comparisons under way are finished first; calls that still wait for theirs are cancelled.
        """
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._pool_owner == os.getpid():
            pool.close()

    def _compare_strings(self, first: str, second: str) -> Comparison | None:
        """What can be told without mathematics; None if that is not enough."""
        if first == second:
            return Comparison.equal
        if max(len(first), len(second)) > self.settings.max_characters:
            return Comparison.too_long
        normalized = normalize(first)
        if normalized and normalized == normalize(second):
            return Comparison.equal
        match same_words(first, second):
            case None:
                return None
            case are_same:
                return Comparison.equal if are_same else Comparison.different

    def _future(self, first: str, second: str) -> Future[Comparison]:
        with self._lock:
            # A forked process has neither the threads nor the pipes of its parent's pool.
            if self._pool is None or self._pool_owner != os.getpid():
                self._pool = WorkerPool(
                    num_processes=self.settings.num_processes,
                    max_seconds=self.settings.max_seconds,
                    max_memory_mib=self.settings.max_memory_mib,
                )
                self._pool_owner = os.getpid()
                remembering = lru_cache(maxsize=self.settings.cache_size)(self._pool.submit)
                self._submit, self._forget = remembering, remembering.cache_clear
            return self._submit(first, second)


def _excerpt(answer: str, num_characters: int = 60) -> str:
    if len(answer) <= num_characters:
        return repr(answer)
    return f"{answer[:num_characters]!r}… ({len(answer)} characters)"

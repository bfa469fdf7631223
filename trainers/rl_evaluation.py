"""Evaluations of a policy while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.protocols import Generator, Grader, Scorer, SearchAlgorithm
from prm_search.rl.evaluation import Graded, evaluate_greedy, evaluate_search, summarize
from prm_search.types import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a policy can do."""

    metrics: dict[str, float]
    """Their names begin with "held_out_" or, for the search, "held_out_search_"."""
    greedy: tuple[Graded, ...]
    """Greedy solutions. [num_problems]"""


@dataclass(kw_only=True, slots=True)
class Start:
    """What is known of the policy that engines start with, and all trainings on them."""

    greedy: tuple[Graded, ...] | None = None
    """[num_problems]; None as long as nobody has asked for them."""


class Evaluator:
    """Solves held-out problems, greedily and, if there is one, with a search."""

    def __init__(
        self,
        problems: Sequence[Problem],
        generator: Generator,
        grader: Grader,
        *,
        search: SearchAlgorithm | None = None,
        scorer: Scorer | None = None,
        seed: int = 0,
        start: Start | None = None,
    ) -> None:
        """Take problems and engines.

        Args:
            problems: with reference answers.
            generator: the policy.
            grader: compares answers.
            search: None leaves it at greedy decoding.
            scorer: the PRM, if the search needs one.
            seed: of the search.
            start: what is known of the policy before its training, or will be.
        """
        self._problems = problems
        self._generator = generator
        self._grader = grader
        self._search = search
        self._scorer = scorer
        self._seed = seed
        self._start = start or Start()

    async def __call__(self, *, is_start: bool = False) -> Evaluation:
        """Solve all problems.

        Args:
            is_start: whether the policy is what the engines started with.

        Raises:
            GradingError: if no answer can be graded.
            EngineError: if an engine failed.
        """
        greedy = self._start.greedy if is_start else None
        if greedy is None:
            greedy = await evaluate_greedy(self._generator, self._grader, self._problems)
        if is_start:
            self._start.greedy = greedy
        metrics = {f"held_out_{name}": value for name, value in summarize(greedy).items()}
        if self._search is not None:
            found = await evaluate_search(
                self._search,
                self._generator,
                self._scorer,
                self._grader,
                self._problems,
                seed=self._seed,
            )
            metrics |= {
                f"held_out_search_{name}": value for name, value in summarize(found).items()
            }
        return Evaluation(metrics=metrics, greedy=greedy)


def describe(metrics: dict[str, float]) -> str:
    """An evaluation in words."""
    parts = [f"greedy accuracy {metrics['held_out_accuracy']:.1%}"]
    if "held_out_verified" in metrics:
        parts.append(f"with every step right {metrics['held_out_verified']:.1%}")
    if "held_out_search_accuracy" in metrics:
        parts.append(f"with search {metrics['held_out_search_accuracy']:.1%}")
    parts.append(f"{metrics['held_out_steps_per_response']:.1f} steps")
    if "held_out_ungradable" in metrics:
        parts.append(f"{metrics['held_out_ungradable']:.1%} not gradable")
    return ", ".join(parts)

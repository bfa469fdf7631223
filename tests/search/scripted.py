"""A policy and a PRM that follow a script, for cases worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ContextLengthError
from prm_search.fakes import FakeGrader
from prm_search.protocols import SearchAlgorithm, Until
from prm_search.types import (
    Failure,
    Generation,
    Problem,
    Scoring,
    SearchResult,
    Step,
    StepScores,
    StopReason,
    Trajectory,
    Usage,
)

PROBLEM = Problem(id="p", prompt="How many?", answer="1")


def step(text: str) -> Step:
    """A step whose mark says how it ended: "a;" goes on, "a.." was cut off, "a" ended."""
    reason = StopReason.END
    if text.endswith(";"):
        reason = StopReason.STEP
    elif text.endswith(".."):
        reason = StopReason.LENGTH
    return Step(text=text, token_ids=(1,) * len(text), stop_reason=reason)


def end(answer: str | int) -> str:
    """The text of a last step."""
    return f"\\boxed{{{answer}}}"


@dataclass
class ScriptedGenerator:
    """Continues a prefix with what the script says, sample after sample."""

    script: Mapping[str, Sequence[str]]
    """Text of a prefix -> texts of the steps that follow; "" is the root. Steps of one sample
    are separated by "|". "too long" stands for a prefix that does not fit."""
    calls: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    """(prefix, num_samples, seed)"""
    temperatures: list[float | None] = field(default_factory=list[float | None])

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        first = sum(count for text, count, _ in self.calls if text == prefix.text)
        self.calls.append((prefix.text, num_samples, seed))
        self.temperatures.append(temperature)
        texts = self.script[prefix.text][first : first + num_samples]
        if "too long" in texts:
            raise ContextLengthError(9, 8, "prefix")
        continuations = tuple(
            tuple(step(part) for part in text.split("|")) if text != "nothing" else ()
            for text in texts
        )
        generated = sum(len(part.token_ids) for steps in continuations for part in steps)
        usage = Usage(prompt_tokens=1, generated_tokens=generated, num_calls=1)
        return Generation(continuations=continuations, usage=usage)


@dataclass
class ScriptedScorer:
    """Scores each step by its text; a step without a score cannot be scored."""

    scores: Mapping[str, float]
    calls: list[list[str]] = field(default_factory=list[list[str]])
    """Texts of the trajectories of each call."""

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        self.calls.append([trajectory.text for trajectory in trajectories])
        usage = Usage(scored_tokens=len(trajectories), num_calls=1)
        return Scoring(scores=tuple(self._score(each) for each in trajectories), usage=usage)

    def _score(self, trajectory: Trajectory) -> StepScores | Failure:
        texts = [each.content for each in trajectory.steps]
        if any(text not in self.scores for text in texts):
            return Failure(kind="ScoringError", message="the score of step 0 is nan")
        return StepScores(values=tuple(self.scores[text] for text in texts))


async def run(
    algorithm: SearchAlgorithm,
    generator: ScriptedGenerator,
    scorer: ScriptedScorer | None,
    *,
    budget: Budget = UNLIMITED,
) -> SearchResult:
    """Run a search by script."""
    return await algorithm(
        PROBLEM,
        generator=generator,
        scorer=scorer,
        grader=FakeGrader(),
        budget=budget,
        seed=0,
    )


def best_text(result: SearchResult) -> str | None:
    """The text of the best candidate."""
    return result.best.trajectory.text if result.best else None


def candidate_texts(result: SearchResult) -> list[str]:
    """The texts of all candidates."""
    return [candidate.trajectory.text for candidate in result.candidates]


def kept_texts(result: SearchResult) -> list[str]:
    """The texts of the nodes that survived pruning, without the root."""
    return [node.text for node in result.tree.nodes[1:] if node.is_kept]


def chosen_texts(result: SearchResult) -> list[str]:
    """The texts of the nodes on the chosen path, without the root."""
    return [node.text for node in result.tree.nodes[1:] if node.is_chosen]

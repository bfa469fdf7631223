"""A completer and a judge that follow a script, and responses to be labeled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from prm_search.budget import Role
from prm_search.errors import ContextLengthError, EngineError
from prm_search.fakes import FakeGrader
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.rollouts import Outcome
from prm_search.protocols import Until
from prm_search.seeds import derive_seed
from prm_search.types import (
    Failure,
    Generation,
    Judgement,
    Problem,
    Step,
    StopReason,
    Trajectory,
    Usage,
    Verdict,
)

SEED = 5
ENDINGS = {
    Outcome.RIGHT: Step(text="\\boxed{1}", token_ids=(1,), stop_reason=StopReason.END),
    Outcome.WRONG: Step(text="\\boxed{0}", token_ids=(1, 2), stop_reason=StopReason.END),
    Outcome.NO_ANSWER: Step(text="So.", token_ids=(1,) * 3, stop_reason=StopReason.END),
    Outcome.CUT_OFF: Step(text="\\boxed{1} or", token_ids=(1,) * 9, stop_reason=StopReason.LENGTH),
    Outcome.UNGRADABLE: Step(text="\\boxed{?}", token_ids=(1,) * 4, stop_reason=StopReason.END),
}
"""How a solution can end."""
OWN = [Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.UNGRADABLE]
"""How a response that ended by itself can end."""


def response(
    num_steps: int, own: Outcome = Outcome.WRONG, *, answer: str | None = "1", id: str = "r"
) -> Response:
    """A response of so many steps, the last of which ends it."""
    problem = Problem(id="p", prompt="How many?", answer=answer)
    steps = [Step(text=f"Step {index}.\n\n", token_ids=(7, 8)) for index in range(num_steps - 1)]
    return Response(id=id, trajectory=Trajectory(problem=problem, steps=(*steps, ENDINGS[own])))


def grader() -> FakeGrader:
    """Cannot grade "?"."""
    return FakeGrader(ungradable=frozenset({"?"}))


@dataclass(kw_only=True)
class ScriptedCompleter:
    """Ends rollout j of step i as the script says, after a random number of turns."""

    outcomes: Sequence[Sequence[Outcome]]
    """[num_steps - 1, num_rollouts]"""
    id: str = "r"
    latency_seed: int = 0
    calls: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    """(step, index) -> how often it was drawn."""
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self._places = {
            derive_seed(SEED, "rollout", self.id, step, index): (step, index)
            for step, outcomes in enumerate(self.outcomes)
            for index in range(len(outcomes))
        }
        self._latency = random.Random(self.latency_seed)

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        assert (num_samples, until, temperature) == (1, Until.END, None)
        step, index = self._places[seed]
        assert len(prefix.steps) == step + 1
        self.calls[step, index] += 1
        for _ in range(self._latency.randrange(5)):
            await asyncio.sleep(0)
        outcome = self.outcomes[step][index]
        if outcome is Outcome.NO_ROOM:
            raise ContextLengthError(9, 8, "prefix")
        ending = ENDINGS[outcome]
        usage = Usage(
            prompt_tokens=prefix.num_tokens, generated_tokens=len(ending.token_ids), num_calls=1
        )
        self.usage += usage
        return Generation(continuations=((ending,),), usage=usage)


@dataclass(kw_only=True)
class ScriptedJudge:
    """Votes as the script says; "?" is a critique that cannot be read."""

    votes: Sequence[int | str | None]
    num_calls: int = 0

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        assert seed == derive_seed(SEED, "judge", "r")
        self.num_calls += 1
        verdicts = [
            Failure(kind="JudgeError", message="no index in it")
            if isinstance(vote, str)
            else Verdict(first_error=vote, critique="So it is.")
            for vote in self.votes
        ]
        return Judgement(
            verdicts=tuple(verdicts), usage=Usage(generated_tokens=3 * num_votes, num_calls=1)
        )


class DeadEngine:
    """A completer and a judge that fail."""

    async def generate(self, *_: object, **__: object) -> Generation:
        raise EngineError("it died")

    async def judge(self, *_: object, **__: object) -> Judgement:
        raise EngineError("it died")


def annotate(
    annotator: Annotator,
    labeled: Response,
    completer: ScriptedCompleter | DeadEngine | None = None,
    judge: ScriptedJudge | DeadEngine | None = None,
    graded_by: FakeGrader | None = None,
) -> Annotation:
    """Label one response."""
    return asyncio.run(
        annotator(
            labeled,
            completer=completer,
            judge=judge,
            grader=graded_by or grader(),
            seed=SEED,
        )
    )


def values(annotation: Annotation) -> list[float | None]:
    """The labels as plain values."""
    return [label.value for label in annotation.labels]


def check_account(annotation: Annotation, completer: ScriptedCompleter) -> None:
    """The ledger is exactly what the completer has done, and nothing was drawn twice."""
    paid = [
        place
        for place in completer.calls
        if completer.outcomes[place[0]][place[1]] is not Outcome.NO_ROOM
    ]
    assert set(completer.calls.values()) <= {1}
    assert annotation.ledger.num_generations == len(paid)
    assert annotation.ledger.of(Role.POLICY) == completer.usage
    assert sum(label.num_rollouts for label in annotation.labels) == len(paid)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A response, and how all rollouts of it end."""

    own: Outcome
    outcomes: list[list[Outcome]]
    """[num_steps - 1, num_rollouts]"""
    num_rollouts: int
    waves: list[int]
    threshold: float
    latency_seed: int

    @property
    def response(self) -> Response:
        return response(len(self.outcomes) + 1, self.own)

    def completer(self) -> ScriptedCompleter:
        return ScriptedCompleter(outcomes=self.outcomes, latency_seed=self.latency_seed)


_OFTEN = [Outcome.RIGHT] * 3 + [Outcome.WRONG] * 6 + [*Outcome]


@st.composite
def cases(draw: st.DrawFn, thresholds: Sequence[float] = (0.0, 0.125, 0.3, 0.5, 0.875)) -> Case:
    """Responses of up to 6 steps with any outcomes, but some steps without a success."""
    num_rollouts = draw(st.integers(1, 10))
    any_outcome = st.sampled_from(_OFTEN)
    no_success = st.sampled_from([each for each in _OFTEN if each is not Outcome.RIGHT])
    undecided = st.sampled_from([Outcome.UNGRADABLE, Outcome.NO_ROOM])
    rows = [
        st.lists(outcome, min_size=num_rollouts, max_size=num_rollouts)
        for outcome in (any_outcome, any_outcome, no_success, undecided)
    ]
    return Case(
        own=draw(st.sampled_from(OWN)),
        outcomes=draw(st.lists(st.one_of(rows), max_size=5)),
        num_rollouts=num_rollouts,
        waves=draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)),
        threshold=draw(st.sampled_from(thresholds)),
        latency_seed=draw(st.integers(0, 1000)),
    )

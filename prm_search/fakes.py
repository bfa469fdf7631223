"""Stand-ins for a policy, a PRM, a judge and a grader that need no model.

They share a tiny world with a known truth: a step that says "guess" is flawed, and a solution
ends with the right answer exactly if none of its steps is flawed. Everything is drawn by
hashing (problem, text so far, seed, index of the sample), so a search on them gives the same
tree on every machine and whatever finishes first. Use them to test searches, controllers and
rewards in milliseconds, and to rehearse failures.

Example:
    >>> generator = FakeGenerator(num_steps=3, error_rate=0.2, wrong_answers=("7",))
    >>> scorer = FakeScorer(noise=0.1, failure_rate=0.05)
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from prm_search.errors import (
    ConfigurationError,
    ContextLengthError,
    EngineError,
    GradingError,
    ScoringError,
)
from prm_search.protocols import Until
from prm_search.seeds import derive_seed
from prm_search.types import (
    Failure,
    Generation,
    Judgement,
    Problem,
    Scoring,
    Step,
    StepScores,
    StopReason,
    Trajectory,
    Usage,
    Verdict,
)

_END_TOKEN = 0


def is_flawed(step: Step) -> bool:
    """Whether a step of the fake policy is wrong."""
    return "guess" in step.text


def _random(seed: int, *path: str | int) -> random.Random:
    return random.Random(derive_seed(seed, *path))


def _tokens(text: str) -> tuple[int, ...]:
    return tuple(1 + derive_seed(0, word) % 50_000 for word in text.split())


def _num_prompt_tokens(problem: Problem) -> int:
    return len(problem.prompt.split())


@dataclass(kw_only=True)
class FakeEngine:
    """What the fake engines have in common: latency, failures and an account."""

    latency: float = 0.0
    """Longest time that a call takes, in seconds; each call draws its own."""
    latency_seed: int = 0
    """Draws the latencies, and nothing else."""
    failing_calls: frozenset[int] = frozenset()
    """0-based numbers of the calls that raise an EngineError."""
    failing_problems: frozenset[str] = frozenset()
    """Ids of the problems for which every call raises an EngineError."""
    usage: Usage = field(default_factory=Usage, init=False)
    """The sum of what all calls so far have reported."""
    num_calls: int = field(default=0, init=False)
    """Calls so far, failed ones included."""

    async def start(self) -> None:
        """Does nothing: there is nothing to start."""

    async def reset_cache(self) -> None:
        """Does nothing: there is nothing to forget."""

    async def close(self) -> None:
        """Does nothing: there is nothing to close."""

    async def _begin(self, problems: Sequence[Problem]) -> None:
        call = self.num_calls
        self.num_calls += 1
        if self.latency > 0:
            await asyncio.sleep(self.latency * _random(self.latency_seed, call).random())
        if call in self.failing_calls:
            raise EngineError(f"call {call} of {type(self).__name__} was told to fail")
        for problem in problems:
            if problem.id in self.failing_problems:
                raise EngineError(
                    f"{type(self).__name__} was told to fail on problem {problem.id!r}"
                )

    def _charge(self, usage: Usage) -> Usage:
        self.usage += usage
        return usage


@dataclass(kw_only=True)
class FakeGenerator(FakeEngine):
    """A policy that writes short arithmetic.

    A word is a token. All of a prefix but its last token counts as cached, as with an engine
    that has just generated it; a problem's prompt never does.
    """

    num_steps: int = 4
    """Steps of a solution, the one with the answer included."""
    num_extra_steps: int = 0
    """A solution is up to this much longer; which one, is drawn."""
    error_rate: float = 0.3
    """Probability that a step before the last one is flawed."""
    answer: str = "12"
    """The right answer where the problem does not say it."""
    wrong_answers: tuple[str, ...] = ("7", "8", "9")
    """Where flawed solutions end: they agree if there is one, and scatter if there are many."""
    truncation_rate: float = 0.0
    """Probability that a step is cut off by the token limit."""
    empty_rate: float = 0.0
    """Probability that a step has no content and ends the answer."""
    max_model_len: int | None = None
    """Prompt and prefix of more tokens raise a ContextLengthError. None means no limit."""

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ConfigurationError(f"num_steps must be at least 1, not {self.num_steps}")

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Continue a prefix; see `prm_search.protocols.Generator`."""
        await self._begin([prefix.problem])
        num_tokens = _num_prompt_tokens(prefix.problem) + prefix.num_tokens
        if self.max_model_len is not None and num_tokens > self.max_model_len:
            raise ContextLengthError(num_tokens, self.max_model_len, "prefix")
        continuations = tuple(
            # Greedy decoding depends on the text alone.
            self._continue(prefix, until, *((0, 0) if temperature == 0 else (seed, sample)))
            for sample in range(num_samples)
        )
        usage = Usage(
            prompt_tokens=num_tokens,
            cached_tokens=num_tokens - 1 if prefix.steps else 0,
            generated_tokens=sum(len(step.token_ids) for steps in continuations for step in steps),
            num_calls=1,
        )
        return Generation(continuations=continuations, usage=self._charge(usage))

    def _continue(
        self, prefix: Trajectory, until: Until, seed: int, sample: int
    ) -> tuple[Step, ...]:
        steps = list(prefix.steps)
        while True:
            steps.append(self._step(prefix.problem, steps, seed, sample))
            if until is Until.STEP or steps[-1].stop_reason is not StopReason.STEP:
                return tuple(steps[len(prefix.steps) :])

    def _step(self, problem: Problem, steps: Sequence[Step], seed: int, sample: int) -> Step:
        draw = _random(seed, problem.id, "".join(step.text for step in steps), sample)
        if draw.random() < self.empty_rate:
            return Step(text="", token_ids=(_END_TOKEN,), stop_reason=StopReason.END)
        first, second = draw.randrange(100), draw.randrange(100)
        verb = "guess" if draw.random() < self.error_rate else "add"
        text = f"Take {first} and {verb} {second}.\n\n"
        stop_reason = StopReason.STEP
        if draw.random() < self.truncation_rate:
            text, stop_reason = f"Take {first} and", StopReason.LENGTH
        elif len(steps) + 1 >= self.num_steps + draw.randint(0, self.num_extra_steps):
            answer = self.answer if problem.answer is None else problem.answer
            if any(is_flawed(step) for step in steps):
                answer = draw.choice(self.wrong_answers)
            text, stop_reason = f"The answer is \\boxed{{{answer}}}.", StopReason.END
        return Step(text=text, token_ids=_tokens(text), stop_reason=stop_reason)


@dataclass(kw_only=True)
class FakeScorer(FakeEngine):
    """A PRM that gives sound steps about 0.9 and flawed ones about 0.1.

    A word is a token, and so is the mark after each step.
    """

    noise: float = 0.1
    """Half the width of the uniform noise on each score; at 1 the scores say little."""
    failure_rate: float = 0.0
    """Probability that the score of a step is NaN, which makes a Failure of its trajectory."""
    seed: int = 0
    """Draws the noise."""
    reuses_prefixes: bool = False
    """Whether the tokens of prefixes that were scored before count as cached."""
    _scored: set[tuple[str, str]] = field(
        default_factory=set[tuple[str, str]], init=False, repr=False
    )

    async def reset_cache(self) -> None:
        """Forget what was scored before."""
        self._scored.clear()

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory; see `prm_search.protocols.Scorer`."""
        await self._begin([trajectory.problem for trajectory in trajectories])
        usage = Usage(num_calls=1)
        for trajectory in trajectories:
            usage += self._cost(trajectory)
        scores = tuple(self._score(trajectory) for trajectory in trajectories)
        return Scoring(scores=scores, usage=self._charge(usage))

    def _score(self, trajectory: Trajectory) -> StepScores | Failure:
        values: list[float] = []
        text = ""
        for step in trajectory.steps:
            text += step.content + "\n"
            draw = _random(self.seed, trajectory.problem.id, text)
            value = (0.1 if is_flawed(step) else 0.9) + draw.uniform(-self.noise, self.noise)
            is_failure = draw.random() < self.failure_rate
            values.append(float("nan") if is_failure else round(min(max(value, 0.0), 1.0), 6))
        try:
            return StepScores(values=tuple(values))
        except ScoringError as error:
            return Failure.of(error)

    def _cost(self, trajectory: Trajectory) -> Usage:
        cached, computed = 0, 0
        text = ""
        sizes = [_num_prompt_tokens(trajectory.problem)]
        sizes += [len(step.text.split()) + 1 for step in trajectory.steps]
        for size, piece in zip(
            sizes, ["", *(step.content for step in trajectory.steps)], strict=True
        ):
            text += piece + "\n"
            prefix = (trajectory.problem.id, text)
            if self.reuses_prefixes and prefix in self._scored:
                cached += size
            else:
                computed += size
            if self.reuses_prefixes:
                self._scored.add(prefix)
        return Usage(prompt_tokens=cached + computed, cached_tokens=cached, scored_tokens=computed)


@dataclass(kw_only=True)
class FakeJudge(FakeEngine):
    """A judge that finds the first flawed step, most of the time."""

    accuracy: float = 1.0
    """Probability that a vote is right; a wrong vote names some other place."""
    failure_rate: float = 0.0
    """Probability that a critique cannot be read."""

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        """Give verdicts on a trajectory; see `prm_search.protocols.Judge`."""
        await self._begin([trajectory.problem])
        verdicts = tuple(self._verdict(trajectory, seed, vote) for vote in range(num_votes))
        critiques = [verdict.critique for verdict in verdicts if isinstance(verdict, Verdict)]
        usage = Usage(
            prompt_tokens=_num_prompt_tokens(trajectory.problem) + len(trajectory.text.split()),
            generated_tokens=sum(len(critique.split()) for critique in critiques),
            num_calls=1,
        )
        return Judgement(verdicts=verdicts, usage=self._charge(usage))

    def _verdict(self, trajectory: Trajectory, seed: int, vote: int) -> Verdict | Failure:
        draw = _random(seed, trajectory.problem.id, trajectory.text, vote)
        if draw.random() < self.failure_rate:
            return Failure(kind="JudgeError", message="the critique names no step")
        flawed = [index for index, step in enumerate(trajectory.steps) if is_flawed(step)]
        truth = flawed[0] if flawed else None
        if draw.random() >= self.accuracy:
            places = [None, *range(len(trajectory.steps))]
            truth = draw.choice([place for place in places if place != truth])
        critique = "Every step is right." if truth is None else f"Step {truth} is a guess."
        return Verdict(first_error=truth, critique=critique)


@dataclass(kw_only=True)
class FakeGrader:
    """A grader of boxed numbers: equal strings or equal fractions are equivalent."""

    ungradable: frozenset[str] = frozenset()
    """Answers whose comparison raises a GradingError."""
    num_calls: int = field(default=0, init=False)
    """Comparisons so far."""

    def extract(self, solution: str) -> str | None:
        r"""The content of the last \boxed{…} without braces in it."""
        answers = re.findall(r"\\boxed\{([^{}]*)\}", solution)
        return answers[-1] if answers else None

    async def equivalent(self, first: str, second: str) -> bool:
        """Whether two answers are the same number or text."""
        self.num_calls += 1
        for answer in (first, second):
            if answer in self.ungradable:
                raise GradingError(f"the answer {answer!r} was told to be ungradable")
        try:
            return Fraction(first) == Fraction(second)
        except (ValueError, ZeroDivisionError):
            return first.strip() == second.strip()

"""Generative PRMs over an engine that writes what it is told."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from actors.completion import Completion, CompletionEngine, Sampling
from actors.generative_scorer import GenerativeScorer
from actors.prompting import load_tokenizer
from prm_search.errors import EngineError, StoreError
from prm_search.prms.generative_prm import Combination, GenerativePrm
from prm_search.prms.recorded_analyses import read_recorded_steps
from prm_search.prms.sandbox_rprm import SandboxRPrm
from prm_search.protocols import Scorer
from prm_search.resolvers import sandbox_model
from prm_search.studies.rprm.reading import Rule
from prm_search.types import Failure, Problem, Scoring, Step, StepScores, StopReason, Trajectory

MODEL = sandbox_model("base")
TOKENIZER: Any = load_tokenizer(MODEL)
END: int = TOKENIZER.eos_token_id
PRM = GenerativePrm(model=MODEL, family=SandboxRPrm(), num_samples=8, max_tokens=30)
STEPS = ("Ann: 5 is given, so Ann=5.", "Ben: Ann=5 and 5+2=7, so Ben=7.", r"The answer is 7.")


@dataclass
class FakeWriter:
    """Writes analyses that are drawn by prompt and seed alone.

    A step whose message has an odd number of characters is probably right.
    """

    num_unreadable: int = 0
    """How many of the seeds of each prompt, as counted here, give nothing to read."""
    unreadable: str = "…"
    """Prompts that end with this give nothing to read."""
    latency: float = 0.0
    requests: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    num_requests: Counter[str] = field(default_factory=Counter[str])
    is_failing: bool = False

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        assert sampling.watch == tuple(TOKENIZER.encode(" Wrong Right"))
        text = str(TOKENIZER.decode(list(prompt), skip_special_tokens=True))
        num_before = self.num_requests[text]
        self.num_requests[text] += 1
        self.requests.append((text, sampling.seed))
        if self.is_failing:
            raise EngineError("told to fail")
        rng = random.Random(f"{text}|{sampling.seed}")
        await asyncio.sleep(self.latency * rng.random())
        p = rng.betavariate(6, 1) if len(text) % 2 else rng.betavariate(1, 6)
        words = " Right" if rng.random() < p else " Wrong"
        is_silent = num_before < self.num_unreadable or text.endswith(self.unreadable)
        analysis = f"Ann: {rng.randrange(99)} is given, got 5.{'' if is_silent else words}"
        tokens = (*TOKENIZER.encode(analysis), END)
        nonsense = (math.log(0.001), math.log(0.002))
        watched = [nonsense for _ in tokens]
        if not is_silent:
            watched[-2] = (math.log((1 - p) * 0.9), math.log(p * 0.9))
        return Completion(
            token_ids=tokens,
            logprobs=(),
            stop_reason=StopReason.END,
            num_prompt_tokens=len(prompt),
            num_cached_tokens=len(prompt) if num_before else 0,
            watched=tuple(watched),
        )

    async def reset_cache(self) -> None: ...

    async def load_weights(self, folder: str) -> None: ...

    async def close(self) -> None: ...


class FakeGenerativeScorer(GenerativeScorer):
    def __init__(self, prm: GenerativePrm, writer: FakeWriter) -> None:
        super().__init__(prm)
        self.writer = writer

    async def _start_engine(self) -> CompletionEngine:
        return self.writer


async def started(
    writer: FakeWriter | None = None, **changes: Any
) -> tuple[FakeGenerativeScorer, FakeWriter]:
    writer = writer or FakeWriter()
    scorer = FakeGenerativeScorer(replace(PRM, **changes), writer)
    await scorer.start()
    return scorer, writer


def trajectory(*steps: str, problem: str = "How many?") -> Trajectory:
    return Trajectory(
        problem=Problem(id=problem, prompt=problem),
        steps=tuple(Step(text=f"{step}\n\n") for step in steps),
    )


def values(scoring: Scoring) -> list[tuple[float, ...]]:
    found: list[tuple[float, ...]] = []
    for scores in scoring.scores:
        assert isinstance(scores, StepScores), scores
        found.append(scores.values)
    return found


def probabilities(message: str, seeds: Sequence[int]) -> list[float]:
    """What `FakeWriter` gives, worked out anew."""
    found: list[float] = []
    for seed in seeds:
        rng = random.Random(f"{message}|{seed}")
        rng.random()
        found.append(rng.betavariate(6, 1) if len(message) % 2 else rng.betavariate(1, 6))
    return found


async def test_a_score_is_the_mean_probability_at_the_verdicts() -> None:
    scorer, writer = await started()
    assert isinstance(scorer, Scorer)

    scoring = await scorer.score([trajectory(*STEPS)])

    seeds: dict[str, list[int]] = {}
    for message, seed in writer.requests:
        seeds.setdefault(message, []).append(seed)
    by_length = sorted(seeds, key=len)
    expected = [sum(probabilities(text, seeds[text])) / 8 for text in by_length]
    assert values(scoring) == [pytest.approx(expected)]
    assert all(len(set(drawn)) == 8 for drawn in seeds.values())


async def test_a_majority_is_the_share_of_verdicts() -> None:
    scorer, _ = await started(combination=Combination.majority)

    ((first, *_),) = values(await scorer.score([trajectory(*STEPS)]))

    assert first * 8 == round(first * 8)


async def test_a_step_is_judged_by_what_comes_before_it_alone() -> None:
    scorer, _ = await started()
    other, _ = await started()

    whole = await scorer.score([trajectory(*STEPS)])
    for number in range(len(STEPS) + 1):
        prefix = await other.score([trajectory(*STEPS[:number])])
        assert values(prefix)[0] == values(whole)[0][:number]


async def test_no_step_is_judged_twice() -> None:
    scorer, writer = await started()
    await scorer.score([trajectory(*STEPS[:2]), trajectory(*STEPS[:2])])
    num_requests = len(writer.requests)

    again = await scorer.score([trajectory(*STEPS)])

    assert num_requests == 2 * 8
    assert len(writer.requests) == 3 * 8
    assert again.usage.num_calls == 1
    await scorer.reset_cache()
    await scorer.score([trajectory(*STEPS)])
    assert len(writer.requests) == 6 * 8


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)), st.sets(st.integers(0, 3), min_size=1))
async def test_a_batch_decides_nothing(order: list[int], alone: set[int]) -> None:
    solutions = [trajectory(*STEPS[: 1 + index % 3], problem=f"{index}?") for index in range(4)]
    scorer, _ = await started(FakeWriter(latency=0.002), confidence=0.95)
    together = values(await scorer.score(solutions))
    other, _ = await started(confidence=0.95)
    for index in alone:
        assert values(await other.score([solutions[index]])) == [together[index]]
    shuffled = values(await other.score([solutions[index] for index in order]))
    assert shuffled == [together[index] for index in order]


@pytest.mark.parametrize("confidence", [None, 0.9, 1.0])
async def test_fewer_samples_are_the_first_of_more(confidence: float | None) -> None:
    full, all_drawn = await started(num_samples=32)
    fewer, drawn = await started(num_samples=8, confidence=confidence)

    await full.score([trajectory(*STEPS)])
    await fewer.score([trajectory(*STEPS)])

    for message in {message for message, _ in drawn.requests}:
        seeds = [seed for other, seed in drawn.requests if other == message]
        assert (
            seeds == [seed for other, seed in all_drawn.requests if other == message][: len(seeds)]
        )
        assert len(seeds) <= 8


@pytest.mark.parametrize("combination", list(Combination))
async def test_stopping_at_certainty_never_changes_a_verdict(combination: Combination) -> None:
    solutions = [trajectory(*STEPS, problem=f"{index}?") for index in range(20)]
    full, all_drawn = await started(combination=combination)
    adaptive, drawn = await started(combination=combination, confidence=1)

    expected = values(await full.score(solutions))
    found = values(await adaptive.score(solutions))

    for scores, others in zip(expected, found, strict=True):
        assert [score >= 0.5 for score in scores] == [score >= 0.5 for score in others]
    assert len(drawn.requests) < 0.9 * len(all_drawn.requests)


async def test_adaptive_sampling_draws_less_and_seldom_changes_a_verdict() -> None:
    solutions = [trajectory(*STEPS, problem=f"{index}?") for index in range(40)]
    full, all_drawn = await started(num_samples=32)
    adaptive, drawn = await started(num_samples=32, confidence=0.95)

    expected = [score for scores in values(await full.score(solutions)) for score in scores]
    found = [score for scores in values(await adaptive.score(solutions)) for score in scores]

    agreeing = [(a >= 0.5) == (b >= 0.5) for a, b in zip(expected, found, strict=True)]
    assert sum(agreeing) / len(agreeing) > 0.9
    assert len(drawn.requests) < 0.6 * len(all_drawn.requests)
    assert max(Counter(message for message, _ in drawn.requests).values()) <= 32


async def test_what_cannot_be_read_is_counted_and_is_no_score(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scorer, _ = await started(FakeWriter(num_unreadable=3))
    scoring = await scorer.score([trajectory(STEPS[0])])

    assert len(values(scoring)[0]) == 1
    assert (scorer.num_analyses, scorer.num_unreadable) == (8, 3)
    await scorer.close()
    assert "3 of 8 analyses by" in caplog.text


async def test_a_step_of_which_nothing_can_be_read_is_a_failure_that_names_it() -> None:
    bad = "This one is bad."
    scorer, _ = await started(FakeWriter(unreadable=bad))

    scoring = await scorer.score([trajectory(STEPS[0], bad, STEPS[2]), trajectory(STEPS[0])])

    failure, fine = scoring.scores
    assert isinstance(failure, Failure)
    assert failure.kind == "ScoringError"
    assert failure.message.startswith("step 1: none of 8 analyses has a verdict; the last one: ")
    assert isinstance(fine, StepScores)
    assert scoring.usage.generated_tokens > 0


async def test_an_analysis_that_was_cut_off_does_not_count() -> None:
    class Cut(FakeWriter):
        async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
            return replace(await super().complete(prompt, sampling), stop_reason=StopReason.LENGTH)

    scorer, _ = await started(Cut())
    (failure,) = (await scorer.score([trajectory(STEPS[0])])).scores
    assert isinstance(failure, Failure)
    assert "cut off after" in failure.message


async def test_an_empty_step_is_a_failure_that_names_it() -> None:
    scorer, _ = await started()
    empty = Trajectory(
        problem=Problem(id="p", prompt="?"), steps=(Step(text="a\n\n"), Step(text="\n\n"))
    )
    (failure,) = (await scorer.score([empty])).scores
    assert isinstance(failure, Failure)
    assert failure.message == "step 1 has no content to be scored"


async def test_a_failing_engine_is_no_score() -> None:
    scorer, writer = await started()
    writer.is_failing = True
    with pytest.raises(EngineError, match="told to fail"):
        await scorer.score([trajectory(*STEPS)])
    writer.is_failing = False
    assert len(values(await scorer.score([trajectory(*STEPS)]))[0]) == 3


async def test_all_that_is_computed_is_charged() -> None:
    scorer, writer = await started()
    scoring = await scorer.score([trajectory(*STEPS[:1])])

    usage = scoring.usage
    num_prompt_tokens = usage.prompt_tokens - usage.cached_tokens
    assert len({message for message, _ in writer.requests}) == 1
    assert usage.generated_tokens > 8 * 10
    assert usage.scored_tokens == num_prompt_tokens + usage.generated_tokens
    assert usage.num_calls == 1


async def test_what_each_analysis_said_and_cost_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "analyses.jsonl"
    path.write_text('{"problem": "cut of')  # by a kill
    scorer, _ = await started(FakeWriter(num_unreadable=2), recording=str(path))
    scoring = await scorer.score([trajectory(*STEPS)])

    recorded = read_recorded_steps(path)
    found = [recorded["How many?", STEPS[: end + 1]] for end in range(3)]
    assert [len(item.values) for item in found] == [8, 8, 8]
    assert [item.values.count(None) for item in found] == [2, 2, 2]
    read = [[value for value in item.values if value is not None] for item in found]
    assert values(scoring) == [pytest.approx([sum(each) / len(each) for each in read])]
    assert sum(sum(item.num_tokens) for item in found) == scoring.usage.scored_tokens


async def test_fewer_analyses_are_the_first_of_those_recorded(tmp_path: Path) -> None:
    path = tmp_path / "analyses.jsonl"
    many, _ = await started(num_samples=16, recording=str(path))
    await many.score([trajectory(*STEPS)])
    few, _ = await started(num_samples=4)
    (scores,) = values(await few.score([trajectory(*STEPS)]))

    recorded = read_recorded_steps(path)
    for end, score in enumerate(scores):
        first = recorded["How many?", STEPS[: end + 1]].values[:4]
        assert score == pytest.approx(sum(value or 0 for value in first) / 4)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 1.0])
async def test_stopping_early_can_be_worked_out_from_a_recording(
    tmp_path: Path, confidence: float
) -> None:
    path = tmp_path / "analyses.jsonl"
    many, _ = await started(num_samples=32, recording=str(path))
    await many.score([trajectory(*STEPS)])
    adaptive, _ = await started(num_samples=32, confidence=confidence)
    (scores,) = values(await adaptive.score([trajectory(*STEPS)]))

    steps = [read_recorded_steps(path)["How many?", STEPS[: end + 1]] for end in range(3)]
    rule = Rule(most=32, confidence=confidence)
    numbers = [rule.num_read(item.values, 0.5) for item in steps]
    assert sum(numbers) == adaptive.num_analyses
    for number, item, score in zip(numbers, steps, scores, strict=True):
        assert score == pytest.approx(sum(value or 0 for value in item.values[:number]) / number)


async def test_a_recording_that_cannot_be_written_is_an_error_before_the_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"prm\.recording: cannot write"):
        await started(recording=str(tmp_path / "file" / "analyses.jsonl"))

"""One engine serves all tests of this file; the last of them kills it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from actors.engine import EngineDeadError
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError
from prm_search.judging.judge import JudgeModel
from prm_search.judging.sandbox import SandboxCritique
from prm_search.policy import Policy
from prm_search.protocols import Until
from prm_search.types import Failure, Problem, Step, StopReason, Trajectory

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
vllm_engine = pytest.importorskip("actors.vllm_engine")
vllm_generator = pytest.importorskip("actors.vllm_generator")
vllm_judge = pytest.importorskip("actors.vllm_judge")

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

OPTIONS = vllm_engine.VllmOptions(kv_cache_gib=0.25)
PROBLEM = Problem(id="p", prompt="Some friends count shells. Ann has 12. How many has Ben?")
EMPTY = Trajectory(problem=PROBLEM)
HOT = 2.0
"""A temperature at which the tiny model writes anything, separators and its end included."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def generator(tiny_model: Path):
    policy = Policy(
        model=str(tiny_model),
        dtype="float32",
        step_separator="a",  # frequent, and often in the middle of a token
        max_step_tokens=40,
        max_tokens=200,
    )
    generator = vllm_generator.VllmGenerator(policy=policy, options=OPTIONS)
    await generator.start()
    yield generator
    await generator.close()


def with_policy(generator, **changes):
    """A generator with other settings on the same engine."""
    policy = replace(generator._policy, **changes)
    other = vllm_generator.VllmGenerator(policy=policy, options=OPTIONS)
    other._engine, other._tokenizer = generator._engine, generator._tokenizer
    other._question = generator._question
    return other


@pytest.fixture(scope="module")
def judge(generator):
    def make(**settings):
        model = JudgeModel(model="m", template=SandboxCritique(), **settings)
        judge = vllm_judge.VllmJudge(judge=model, options=OPTIONS)
        judge._engine, judge._tokenizer = generator._engine, generator._tokenizer
        return judge

    return make


async def test_all_tokenizers_agree(generator, tiny_model):
    saved = transformers.Qwen2Tokenizer.from_pretrained(tiny_model)
    auto = transformers.AutoTokenizer.from_pretrained(tiny_model)
    served = generator._engine._engine.get_tokenizer()
    for text in (PROBLEM.prompt, "Bén: 1234 + 5\n\n\\boxed{7}.", "<|im_start|>漢 <extra_0>\n"):
        assert saved.encode(text) == auto.encode(text) == served.encode(text)


async def test_greedy_text_is_that_of_transformers(generator, tiny_model):
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    plain = with_policy(generator, max_tokens=60)
    num_tokens = 0
    for asked in ("Ann", "Ben", "Cara", "Dan", "Eve", "Finn"):
        prefix = Trajectory(problem=Problem(id=asked, prompt=f"How many has {asked}?"))
        prompt = list(generator._question(prefix.problem.prompt))
        expected = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=60,
            do_sample=False,
        )[0, len(prompt) :]

        generation = await plain.generate(
            prefix, num_samples=3, until=Until.END, seed=0, temperature=0
        )

        (steps,) = set(generation.continuations)
        assert len(generation.continuations) == 3
        whole = prefix.extend(*steps)
        assert list(whole.token_ids) == expected.tolist()
        text = generator._tokenizer.decode(expected, skip_special_tokens=True)
        assert whole.text.rstrip("\ufffd") == text.rstrip("\ufffd")
        assert generation.usage.generated_tokens == len(expected)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *expected.tolist()]])).logits[0]
        logprobs = logits[len(prompt) - 1 : -1].log_softmax(-1).gather(1, expected[:, None])
        kept = [value for step in steps for value in step.logprobs]
        assert kept == pytest.approx(logprobs[:, 0].tolist(), abs=1e-3)
        num_tokens += len(expected)
    assert num_tokens > 100


async def test_step_by_step_is_the_same_text_as_at_once(generator):
    plain = with_policy(generator, max_tokens=60)
    at_once = await plain.generate(EMPTY, num_samples=1, until=Until.END, seed=0, temperature=0)
    prefix = EMPTY
    while not prefix.is_finished:
        step = await plain.generate(prefix, num_samples=1, until=Until.STEP, seed=0, temperature=0)
        prefix = prefix.extend(*step.continuations[0])

    assert prefix == EMPTY.extend(*at_once.continuations[0])


async def test_steps_end_as_they_say(generator):
    generation = await generator.generate(
        EMPTY, num_samples=64, until=Until.STEP, seed=1, temperature=HOT
    )
    steps = [step for (step,) in generation.continuations]
    end = generator._tokenizer.eos_token_id

    reasons = Counter(step.stop_reason for step in steps)
    assert set(reasons) == set(StopReason)
    for step in steps:
        assert len(step.token_ids) == len(step.logprobs) <= 40
        assert (
            step.text == generator._tokenizer.decode(list(step.token_ids), skip_special_tokens=True)
            or not step.text.isascii()
        )
        assert (step.token_ids[-1] == end) == (step.stop_reason is StopReason.END)
        assert ("a" in step.text) == (step.stop_reason is StopReason.STEP)
        assert (len(step.token_ids) == 40) == (step.stop_reason is StopReason.LENGTH)
    assert any(not step.text.endswith("a") for step in steps if "a" in step.text)
    assert generation.usage.num_calls == 1
    assert generation.usage.generated_tokens == sum(len(step.token_ids) for step in steps)


async def test_a_seed_gives_the_same_samples_whatever_else_is_running(generator):
    async def draw(seed):
        return await generator.generate(
            EMPTY, num_samples=4, until=Until.END, seed=seed, temperature=HOT
        )

    alone = await draw(7)
    crowd = await asyncio.gather(*map(draw, range(16)))

    assert crowd[7].continuations == alone.continuations
    assert len(set(alone.continuations)) == 4
    assert len({generation.continuations for generation in crowd}) == 16


async def test_many_long_prompts_at_once_are_all_answered(generator):
    # More prompt tokens than vLLM takes in one pass: seeded requests must survive that.
    prefixes = [EMPTY.extend(Step(text=f"{index} " + "is so " * 60)) for index in range(64)]
    plain = with_policy(generator, max_tokens=400)
    generations = await asyncio.gather(
        *(plain.generate(p, num_samples=2, until=Until.STEP, seed=3) for p in prefixes)
    )

    assert all(len(generation.continuations) == 2 for generation in generations)


async def test_a_prefix_is_reused_and_its_samples_share_it(generator):
    prefix = EMPTY.extend(Step(text="Ben has as many as Ann and Cara together, which is 77a"))
    num_prompt = len(generator._question(PROBLEM.prompt)) + len(
        generator._tokenizer.encode(prefix.text)
    )
    first = await generator.generate(prefix, num_samples=4, until=Until.STEP, seed=0)
    second = await generator.generate(prefix, num_samples=1, until=Until.STEP, seed=1)

    assert num_prompt <= first.usage.prompt_tokens <= num_prompt + 3 * 32
    assert second.usage.prompt_tokens == num_prompt
    assert num_prompt - 32 <= second.usage.cached_tokens < num_prompt
    assert second.usage.cached_tokens % 32 == 0


async def test_a_solution_never_gets_longer_than_allowed(generator):
    short = with_policy(generator, max_tokens=50)
    generation = await short.generate(
        EMPTY, num_samples=32, until=Until.END, seed=5, temperature=HOT
    )
    wholes = [EMPTY.extend(*steps) for steps in generation.continuations if steps[0].content]
    for whole in wholes:
        is_cut_off = whole.stop_reason is StopReason.LENGTH
        assert whole.num_tokens == 50 if is_cut_off else whole.num_tokens <= 50
    assert {whole.stop_reason for whole in wholes} == {StopReason.LENGTH, StopReason.END}

    prefix = EMPTY.extend(Step(text="xa", token_ids=(70,) * 45))
    ((step,),) = (
        await short.generate(prefix, num_samples=1, until=Until.STEP, seed=5, temperature=0)
    ).continuations
    assert len(step.token_ids) <= 5

    spent = EMPTY.extend(Step(text="xa", token_ids=(70,) * 50))
    generation = await short.generate(spent, num_samples=2, until=Until.STEP, seed=5)
    assert spent.extend(*generation.continuations[1]).stop_reason is StopReason.LENGTH
    assert generation.usage.generated_tokens == 0


async def test_a_separator_alone_is_no_step(generator):
    # Nearly every sample begins with white space, which is the separator here.
    newline = with_policy(generator, step_separator=" ")
    generation = await newline.generate(
        EMPTY, num_samples=64, until=Until.STEP, seed=2, temperature=HOT
    )

    steps = [step for (step,) in generation.continuations]
    assert all(step.content for step in steps if step.stop_reason is StopReason.STEP)
    assert any(step.text.startswith(" ") for step in steps)


async def test_a_prompt_that_does_not_fit_is_refused(generator):
    long = EMPTY.extend(Step(text="xa", token_ids=(70,) * 600))
    roomy = with_policy(generator, max_tokens=2000)
    with pytest.raises(ContextLengthError) as caught:
        await roomy.generate(long, num_samples=1, until=Until.STEP, seed=0)

    num_question = len(generator._question(PROBLEM.prompt))
    assert caught.value.num_tokens == num_question + 600
    assert caught.value.max_tokens == 511


async def test_the_context_ends_a_solution_with_length(generator):
    num_question = len(generator._question(PROBLEM.prompt))
    nearly = EMPTY.extend(Step(text="xa", token_ids=(70,) * (512 - num_question - 3)))
    roomy = with_policy(generator, max_tokens=2000)
    ((step,),) = (
        await roomy.generate(nearly, num_samples=1, until=Until.END, seed=0, temperature=0)
    ).continuations

    assert len(step.token_ids) == 3
    assert step.stop_reason is StopReason.LENGTH


async def test_an_impossible_temperature_is_a_configuration_error(generator):
    with pytest.raises(ConfigurationError, match="temperature"):
        await generator.generate(EMPTY, num_samples=1, until=Until.STEP, seed=0, temperature=9)


async def test_a_finished_prefix_is_not_continued(generator):
    finished = EMPTY.extend(Step(text="x", stop_reason=StopReason.END))
    with pytest.raises(ValueError, match="has ended"):
        await generator.generate(finished, num_samples=1, until=Until.STEP, seed=0)


async def test_logprobs_can_be_left_out(generator):
    quiet = with_policy(generator, logprobs=False)
    generation = await quiet.generate(EMPTY, num_samples=1, until=Until.STEP, seed=0)

    assert generation.continuations[0][0].logprobs == ()


async def test_a_judge_gives_a_verdict_or_a_failure_per_vote(judge):
    trajectory = EMPTY.extend(Step(text="Ben has 3.\n\n"), Step(text="So 3.\n\n"))
    votes = await judge(temperature=HOT, max_tokens=8).judge(trajectory, num_votes=4, seed=0)
    greedy = await judge(max_tokens=8).judge(trajectory, num_votes=3, seed=0)

    assert len(votes.verdicts) == 4
    assert {verdict.kind for verdict in votes.verdicts} == {"JudgeError"}
    assert len(set(greedy.verdicts)) == 1
    assert greedy.usage.generated_tokens <= 8


async def test_a_solution_too_long_for_the_judge_is_a_failure(judge):
    trajectory = EMPTY.extend(Step(text="Ben has 3. " * 300))
    (verdict,) = (await judge().judge(trajectory, num_votes=1, seed=0)).verdicts

    assert isinstance(verdict, Failure)
    assert verdict.kind == "ContextLengthError"


async def test_a_missing_model_is_named(tmp_path):
    policy = Policy(model=str(tmp_path / "nowhere"))
    with pytest.raises(EngineError, match="nowhere"):
        await vllm_generator.VllmGenerator(policy=policy).start()


async def test_a_killed_engine_is_reported_as_dead(generator):
    # The last test: the engine is gone afterwards.
    slow = with_policy(generator, max_tokens=400)
    waiting = [
        asyncio.create_task(slow.generate(EMPTY, num_samples=8, until=Until.END, seed=seed))
        for seed in range(8)
    ]
    await asyncio.sleep(0.05)
    for process in generator._engine._engine.engine_core.resources.engine_manager.processes:
        os.kill(process.pid, signal.SIGKILL)

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(isinstance(outcome, EngineDeadError) for outcome in outcomes)
    with pytest.raises(EngineDeadError, match="died"):
        await generator.generate(EMPTY, num_samples=1, until=Until.STEP, seed=0)

"""Policies, PRMs and judges run by transformers, against the library's own way."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from actors.completion import Completion, Sampling
from actors.transformers_completions import TransformersCompletions
from actors.transformers_generator import TransformersGenerator
from actors.transformers_judge import TransformersJudge
from actors.transformers_options import TransformersOptions
from actors.transformers_scorer import TransformersScorer
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError
from prm_search.judging.judge import JudgeModel
from prm_search.policy import Policy
from prm_search.prms.prm import Prm
from prm_search.protocols import Generator, Judge, Until
from prm_search.types import Failure, StopReason
from tests.actors.shells import CPU, NUM_POSITIONS, PROMPT, TEXTS, prefix_of


def policy_of(model: Path, **settings: Any) -> Policy:
    return Policy(
        **{"model": str(model), "max_tokens": 40, "max_step_tokens": 40, "dtype": "float32"}
        | settings
    )


@pytest.fixture
async def engine(tiny_model: Path) -> AsyncIterator[TransformersCompletions]:
    engine = await TransformersCompletions.start(
        str(tiny_model), dtype="float32", max_model_len=None, options=CPU
    )
    yield engine
    await engine.close()


@pytest.fixture
async def generator(tiny_model: Path) -> AsyncIterator[TransformersGenerator]:
    generator = TransformersGenerator(policy=policy_of(tiny_model), options=CPU)
    await generator.start()
    yield generator
    await generator.close()


def prompts_of(tiny_model: Path, number: int) -> list[tuple[int, ...]]:
    """Prompts of different lengths."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    ids = tokenizer.encode(PROMPT)
    return [tuple(ids[: 3 + 4 * index]) for index in range(number)]


async def test_greedy_samples_are_those_of_the_library(
    engine: TransformersCompletions, tiny_model: Path
) -> None:
    reference: Any = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    prompts = prompts_of(tiny_model, 5)
    sampling = Sampling(max_tokens=30, temperature=0.0, logprobs=True)
    samples = await asyncio.gather(*(engine.complete(prompt, sampling) for prompt in prompts))
    for prompt, sample in zip(prompts, samples, strict=True):
        expected = reference.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=30,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        assert sample.token_ids == tuple(expected.sequences[0, len(prompt) :].tolist())
        logprobs = torch.stack(expected.logits)[:, 0].log_softmax(-1)
        chosen = logprobs.gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(sample.logprobs), chosen, atol=1e-4, rtol=0)
        assert sample.num_prompt_tokens == len(prompt)


async def test_a_sample_does_not_depend_on_the_others_in_its_batch(
    engine: TransformersCompletions, tiny_model: Path
) -> None:
    prompts = prompts_of(tiny_model, 6)
    requests = [
        (prompt, Sampling(max_tokens=8 + seed, temperature=1.0, top_p=0.9, seed=seed))
        for seed in range(3)
        for prompt in prompts
    ]
    alone = [await engine.complete(*request) for request in requests]
    together = await asyncio.gather(*(engine.complete(*request) for request in requests))
    assert [sample.token_ids for sample in together] == [sample.token_ids for sample in alone]


async def test_seeds_decide_the_sample_and_nothing_else_does(
    generator: TransformersGenerator,
) -> None:
    async def draw(seed: int) -> tuple[str, ...]:
        generation = await generator.generate(
            prefix_of(), num_samples=4, until=Until.END, seed=seed
        )
        return tuple("".join(step.text for step in steps) for steps in generation.continuations)

    first, again, other = await draw(1), await draw(1), await draw(2)
    assert first == again
    assert first != other
    assert len(set(first)) == 4


async def test_steps_travel_as_tokens_and_join_to_the_text(
    generator: TransformersGenerator,
) -> None:
    assert isinstance(generator, Generator)
    prefix = prefix_of()
    for seed in range(3):
        generation = await generator.generate(prefix, num_samples=3, until=Until.STEP, seed=seed)
        assert len(generation.continuations) == 3
        for (step,) in generation.continuations:
            assert len(step.token_ids) == len(step.logprobs) > 0
            assert step.content or step.stop_reason is not StopReason.STEP
        usage = generation.usage
        num_tokens = sum(len(step.token_ids) for (step,) in generation.continuations)
        assert (usage.generated_tokens, usage.num_calls) == (num_tokens, 1)
        open_steps = [
            step
            for (step,) in generation.continuations
            if step.stop_reason is StopReason.STEP and step.content
        ]
        if open_steps:
            prefix = prefix.extend(open_steps[0])


async def test_samples_of_one_prompt_pay_for_it_once(generator: TransformersGenerator) -> None:
    one = await generator.generate(prefix_of(), num_samples=1, until=Until.STEP, seed=0)
    many = await generator.generate(prefix_of(), num_samples=8, until=Until.STEP, seed=0)
    computed = many.usage.prompt_tokens - many.usage.cached_tokens
    assert computed == one.usage.prompt_tokens - one.usage.cached_tokens


class Scripted(torch.nn.Module):
    """Makes a language model say what is written, whatever it is given."""

    def __init__(self, model: Any, script: list[int], start: int) -> None:
        super().__init__()
        self.model = model
        self.script = script
        self.start = start
        self.config, self.generation_config = model.config, model.generation_config
        self.device = model.device

    def forward(self, *, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        output = self.model(attention_mask=attention_mask, **inputs)
        said = int(attention_mask[0].sum()) - self.start
        output.logits[:, -1] = -100.0
        output.logits[:, -1, self.script[said]] = 100.0
        return output


async def scripted(tiny_model: Path, text: str, sampling: Sampling) -> Completion:
    from actors.transformers_decoding import Decoder
    from actors.transformers_model import load_model

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    model = load_model(AutoModelForCausalLM, str(tiny_model), dtype="float32", options=CPU)
    prompt = tuple(tokenizer.encode("Ann has 12.\n\n"))
    script = [*tokenizer.encode(text), tokenizer.eos_token_id]
    decoder = Decoder(Scripted(model, script, len(prompt)), tokenizer)  # pyright: ignore
    engine = TransformersCompletions(model, decoder, max_model_len=NUM_POSITIONS, options=CPU)
    try:
        return await engine.complete(prompt, sampling)
    finally:
        await engine.close()


@pytest.mark.parametrize(
    ("text", "stop", "max_tokens", "expected", "stop_reason"),
    [
        ("Ben has 19.\n\nThe answer", "\n\n", 100, "Ben has 19.\n\n", StopReason.STEP),
        ("Ben has 19.\n\nThe answer", None, 100, "Ben has 19.\n\nThe answer", StopReason.END),
        ("Ben has 19.", "\n\n", 100, "Ben has 19.", StopReason.END),
        ("Ben has 19.\nSo it is.", "\n\n", 5, None, StopReason.LENGTH),
        ("12*7=84。是 12", "。是", 100, "12*7=84。是", StopReason.STEP),
    ],
)
async def test_a_sample_ends_at_the_stop_text_the_end_token_or_the_limit(
    tiny_model: Path,
    text: str,
    stop: str | None,
    max_tokens: int,
    expected: str | None,
    stop_reason: StopReason,
) -> None:
    sampling = Sampling(max_tokens=max_tokens, temperature=1.0, stop=stop)
    sample = await scripted(tiny_model, text, sampling)
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_model)
    assert sample.stop_reason is stop_reason
    if expected is None:
        assert len(sample.token_ids) == max_tokens
    else:
        assert tokenizer.decode(sample.token_ids, skip_special_tokens=True) == expected
    assert (sample.token_ids[-1] == tokenizer.eos_token_id) is (stop_reason is StopReason.END)


async def test_the_context_bounds_samples_and_refuses_longer_prompts(
    tiny_model: Path,
) -> None:
    engine = await TransformersCompletions.start(
        str(tiny_model), dtype="float32", max_model_len=12, options=CPU
    )
    sampling = Sampling(max_tokens=100, temperature=1.0)
    sample = await engine.complete((5,) * 9, sampling)
    assert len(sample.token_ids) <= 3
    with pytest.raises(ContextLengthError) as caught:
        await engine.complete((5,) * 12, sampling)
    assert (caught.value.num_tokens, caught.value.max_tokens) == (12, 11)
    await engine.close()


async def test_a_prefix_longer_than_the_context_is_refused(
    generator: TransformersGenerator,
) -> None:
    with pytest.raises(ContextLengthError, match="at most 511"):
        await generator.generate(
            prefix_of(prompt=PROMPT * 40), num_samples=1, until=Until.STEP, seed=0
        )


async def test_greedy_decoding_on_demand_gives_one_sample_many_times(
    generator: TransformersGenerator,
) -> None:
    generation = await generator.generate(
        prefix_of(), num_samples=3, until=Until.STEP, seed=0, temperature=0.0
    )
    assert len(set(generation.continuations)) == 1
    assert len(generation.continuations) == 3


async def test_more_requests_than_fit_and_cancelled_ones(tiny_model: Path) -> None:
    engine = await TransformersCompletions.start(
        str(tiny_model),
        dtype="float32",
        max_model_len=None,
        options=TransformersOptions(device="cpu", max_num_seqs=3, max_batch_tokens=40),
    )
    prompts = prompts_of(tiny_model, 6) * 3
    tasks = [
        asyncio.create_task(
            engine.complete(prompt, Sampling(max_tokens=12, temperature=1.0, seed=seed))
        )
        for seed, prompt in enumerate(prompts)
    ]
    await asyncio.sleep(0.01)
    for task in tasks[::4]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Completion | asyncio.CancelledError) for result in results), (
        results
    )
    assert sum(isinstance(result, Completion) for result in results) >= 13
    await engine.close()


async def test_closing_fails_what_is_not_finished(tiny_model: Path) -> None:
    engine = await TransformersCompletions.start(
        str(tiny_model), dtype="float32", max_model_len=None, options=CPU
    )
    task = asyncio.create_task(engine.complete((5,), Sampling(max_tokens=500, temperature=1.0)))
    await asyncio.sleep(0.01)
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await task
    with pytest.raises(EngineError, match="closed"):
        await engine.complete((5,), Sampling(max_tokens=1, temperature=1.0))


async def test_a_model_that_computes_nan_raises(tiny_model: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][:] = math.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    generator = TransformersGenerator(policy=policy_of(broken), options=CPU)
    await generator.start()
    with pytest.raises(EngineError, match="NaN"):
        await generator.generate(prefix_of(), num_samples=1, until=Until.STEP, seed=0)
    await generator.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda model: TransformersGenerator(policy=Policy(model=model), options=CPU),
        lambda model: TransformersScorer(prm=Prm(model=model), options=CPU),
        lambda model: TransformersJudge(judge=JudgeModel(model=model), options=CPU),
    ],
)
async def test_a_missing_model_is_named(make: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"nowhere' does not exist"):
        await make(str(tmp_path / "nowhere")).start()
    with pytest.raises(EngineError, match=r"has no config\.json"):
        await make(str(tmp_path)).start()


async def test_a_device_that_is_not_there_is_named(tiny_model: Path) -> None:
    options = TransformersOptions(device="cuda:99")
    with pytest.raises(EngineError, match="cuda:99"):
        await TransformersGenerator(policy=policy_of(tiny_model), options=options).start()


@pytest.mark.parametrize("wrong", [{"device": "gpu"}, {"max_num_seqs": 0}, {"max_batch_tokens": 0}])
def test_impossible_options_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TransformersOptions(**wrong)


async def test_a_judge_fails_on_what_it_cannot_read(tiny_model: Path) -> None:
    judge = TransformersJudge(
        judge=JudgeModel(model=str(tiny_model), max_tokens=5, temperature=1.0), options=CPU
    )
    await judge.start()
    assert isinstance(judge, Judge)
    judgement = await judge.judge(prefix_of(*TEXTS[:1]), num_votes=3, seed=0)
    assert len(judgement.verdicts) == 3
    assert all(isinstance(verdict, Failure) for verdict in judgement.verdicts)
    too_long = await judge.judge(prefix_of(TEXTS[0] * 40), num_votes=2, seed=0)
    kinds = [verdict.kind for verdict in too_long.verdicts if isinstance(verdict, Failure)]
    assert kinds == ["ContextLengthError"] * 2
    await judge.close()


def test_neither_vllm_nor_ray_is_imported() -> None:
    script = """
import json, sys
import actors.transformers_generator, actors.transformers_scorer, actors.transformers_judge
import actors.inprocess
print(json.dumps([name for name in ("vllm", "ray") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []

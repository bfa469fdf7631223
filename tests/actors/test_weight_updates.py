"""Policies whose weights are replaced while they run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from actors.completion import Completion, Sampling
from actors.policy_generator import PolicyGenerator
from actors.transformers_generator import TransformersGenerator
from prm_search.errors import EngineError
from prm_search.fakes import FakeGenerator
from prm_search.policy import Policy
from prm_search.protocols import Until
from prm_search.rl import VersionedGenerator
from prm_search.types import Generation, Problem, StopReason, Trajectory
from tests.conftest import PROBLEM

PREFIX = Trajectory(problem=Problem(id="shells", prompt=PROBLEM))


def policy(model: Path) -> Policy:
    return Policy(model=str(model), max_tokens=12)


@pytest.fixture(scope="module")
def other_weights(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's weights upside down."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("other")
    weights = load_file(tiny_model / "model.safetensors")
    save_file({name: -value for name, value in weights.items()}, folder / "model.safetensors")
    return folder


async def greedy(generator: VersionedGenerator | PolicyGenerator) -> Generation:
    return await generator.generate(PREFIX, num_samples=1, until=Until.END, seed=0, temperature=0)


async def test_samples_change_with_the_weights_and_name_their_version(
    tiny_model: Path, other_weights: Path
) -> None:
    generator = TransformersGenerator(policy=policy(tiny_model))
    await generator.start()
    try:
        first = await greedy(generator)
        await generator.update_weights(str(other_weights), 1)
        second = await greedy(generator)
        await generator.restore_weights()
        third = await greedy(generator)
        assert [one.policy_version for one in (first, second, third)] == [0, 1, 0]
        assert first.continuations == third.continuations != second.continuations
    finally:
        await generator.close()


async def test_weights_of_another_model_are_refused(tiny_model: Path, tiny_prm: Path) -> None:
    generator = TransformersGenerator(policy=policy(tiny_model))
    await generator.start()
    try:
        with pytest.raises(EngineError, match=r"weights of another model: score\.0"):
            await generator.update_weights(str(tiny_prm), 1)
        with pytest.raises(EngineError, match="another model"):
            await generator.update_weights(str(tiny_prm / "nowhere"), 1)
    finally:
        await generator.close()


class SlowEngine:
    """Holds samples until it is told to go on; notes the weights that each began and ended with."""

    def __init__(self) -> None:
        self.folder = "start"
        self.go = asyncio.Event()
        self.seen: list[tuple[str, str]] = []

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        began = self.folder
        await self.go.wait()
        self.seen.append((began, self.folder))
        return Completion(
            token_ids=(5,),
            logprobs=(),
            stop_reason=StopReason.END,
            num_prompt_tokens=len(prompt),
            num_cached_tokens=0,
        )

    async def load_weights(self, folder: str) -> None:
        self.folder = folder

    async def reset_cache(self) -> None:
        pass

    async def close(self) -> None:
        pass


class SlowGenerator(PolicyGenerator):
    def __init__(self, policy: Policy, engine: SlowEngine) -> None:
        super().__init__(policy)
        self._slow = engine

    async def _start_engine(self) -> SlowEngine:
        return self._slow


async def test_no_sample_is_drawn_with_two_sets_of_weights(tiny_model: Path) -> None:
    engine = SlowEngine()
    generator = SlowGenerator(policy(tiny_model), engine)
    await generator.start()
    early = asyncio.create_task(greedy(generator))
    await asyncio.sleep(0)
    update = asyncio.create_task(generator.update_weights("new", 1))
    await asyncio.sleep(0)
    late = asyncio.create_task(greedy(generator))
    await asyncio.sleep(0.01)
    assert not update.done()
    engine.go.set()
    assert [(await early).policy_version, (await late).policy_version] == [0, 1]
    assert engine.seen == [("start", "start"), ("new", "new")]


class ForgetfulGenerator:
    """Loses its weights once, as an engine does that crashes and is started again."""

    def __init__(self) -> None:
        self.version = 0
        self.num_updates = 0
        self.crashes_at: set[int] = set()
        self.num_calls = 0

    async def update_weights(self, folder: str, version: int) -> None:
        self.num_updates += self.version != version
        self.version = version

    async def restore_weights(self) -> None:
        self.version = 0

    async def generate(self, prefix: Trajectory, **_: object) -> Generation:
        self.num_calls += 1
        if self.num_calls in self.crashes_at:
            self.version = 0
        generation = await FakeGenerator().generate(prefix, num_samples=1, until=Until.END, seed=0)
        return replace(generation, policy_version=self.version)


async def test_an_engine_that_came_back_is_given_its_weights_again() -> None:
    engine = ForgetfulGenerator()
    generator = VersionedGenerator(engine)
    await generator.update_weights("folder", 3)
    engine.crashes_at = {2}
    versions = [(await greedy(generator)).policy_version for _ in range(3)]
    assert versions == [3, 3, 3]
    assert engine.num_calls == 4  # the stale answer was thrown away
    assert engine.num_updates == 2
    assert generator.take_usage().num_calls == 4


async def test_an_engine_that_never_takes_the_weights_is_an_error() -> None:
    engine = ForgetfulGenerator()
    engine.crashes_at = set(range(100))
    generator = VersionedGenerator(engine)
    await generator.update_weights("folder", 3)
    with pytest.raises(EngineError, match="other weights than those of version 3"):
        await greedy(generator)


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.timeout(600)
async def test_vllm_takes_weights_and_goes_back_to_its_own(
    tiny_model: Path, other_weights: Path
) -> None:
    pytest.importorskip("vllm")
    from actors.vllm_generator import VllmGenerator

    generator = VllmGenerator(policy=replace(policy(tiny_model), dtype="float32"))
    await generator.start()
    try:
        first = await greedy(generator)
        await generator.update_weights(str(other_weights), 1)
        second = await greedy(generator)
        await generator.restore_weights()
        third = await greedy(generator)
        assert [one.policy_version for one in (first, second, third)] == [0, 1, 0]
        assert first.continuations == third.continuations != second.continuations
        with pytest.raises(EngineError, match="no weights at"):
            await generator.update_weights(str(other_weights / "nowhere"), 2)
    finally:
        await generator.close()

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prm_search.errors import EngineError
from prm_search.prms.prm import Prm
from prm_search.prms.rendering import renderer_of
from prm_search.types import Failure, Problem, Scoring, Step, StepScores, Trajectory

torch = pytest.importorskip("torch")
vllm_engine = pytest.importorskip("actors.vllm_engine")
vllm_scorer = pytest.importorskip("actors.vllm_scorer")
prompting = pytest.importorskip("actors.prompting")
safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

OPTIONS = vllm_engine.VllmOptions(kv_cache_gib=0.25)
BLOCK_SIZE = 32
NAMES = ("Ann", "Ben", "Cara", "Dan")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scorer(tiny_prm: Path):
    scorer = vllm_scorer.VllmScorer(prm=Prm(model=str(tiny_prm), dtype="float32"), options=OPTIONS)
    await scorer.start()
    yield scorer
    await scorer.close()


@pytest.fixture(scope="module")
def plain_scorer(scorer):
    """On the same engine, but computing every prefix anew."""
    plain = vllm_scorer.VllmScorer(prm=scorer._prm, options=replace(OPTIONS, reuse_prefixes=False))
    plain._serve(scorer._engine, prompting.load_tokenizer(scorer._prm.model))
    return plain


@pytest.fixture(scope="module")
def reference(tiny_prm: Path):
    """Scores by a plain torch forward of the same checkpoint."""
    config = transformers.Qwen2Config.from_pretrained(tiny_prm, attn_implementation="eager")
    weights = safetensors.load_file(tiny_prm / "model.safetensors")
    backbone = transformers.Qwen2Model(config).eval()
    backbone.load_state_dict(
        {
            name.removeprefix("model."): weight
            for name, weight in weights.items()
            if name.startswith("model.")
        }
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_prm)
    render = renderer_of(Prm(model="m").family, tokenizer)

    @torch.no_grad()
    def score(trajectory: Trajectory) -> list[float]:
        (solution,) = render(trajectory.problem.prompt, [step.text for step in trajectory.steps])
        hidden = backbone(torch.tensor([solution.token_ids])).last_hidden_state[0]
        hidden = torch.relu(hidden @ weights["score.0.weight"].T + weights["score.0.bias"])
        rows = (hidden @ weights["score.2.weight"].T + weights["score.2.bias"]).softmax(-1)
        return [rows[position, 1].item() for position in solution.positions]

    return score


def write_step(rng: random.Random) -> Step:
    first, second = rng.sample(NAMES, 2)
    a, b = rng.randrange(90), rng.randrange(9)
    text = f"{first}: {second} has {a} and {a}+{b}={a + b}, so {first} has {a + b}.\n\n"
    return Step(text=text)


def write_problem(rng: random.Random) -> Problem:
    facts = [f"{name} has {rng.randrange(99)}." for name in NAMES for _ in range(2)]
    prompt = " ".join(["Some friends count shells.", *facts, "How many has Ben?"])
    return Problem(id=prompt, prompt=prompt)


def write_trajectory(rng: random.Random, num_steps: int) -> Trajectory:
    steps = tuple(write_step(rng) for _ in range(num_steps))
    return Trajectory(problem=write_problem(rng), steps=steps)


def num_tokens(scorer, trajectory: Trajectory) -> int:
    (solution,) = scorer._scoring.render(trajectory)
    return len(solution.token_ids)


def values(scoring: Scoring) -> list[list[float]]:
    assert not [score for score in scoring.scores if isinstance(score, Failure)]
    return [list(score.values) for score in scoring.scores if isinstance(score, StepScores)]


async def test_scores_with_and_without_reuse_are_those_of_a_plain_forward(
    scorer, plain_scorer, reference
):
    rng = random.Random(1)
    trajectories = [write_trajectory(rng, num_steps) for num_steps in (1, 2, 3, 5, 8)]
    expected = [pytest.approx(reference(trajectory), abs=1e-4) for trajectory in trajectories]
    for trajectory in trajectories:  # step by step, as a search asks
        for length in range(1, len(trajectory.steps) + 1):
            await scorer.score([replace(trajectory, steps=trajectory.steps[:length])])

    assert values(await scorer.score(trajectories)) == expected
    assert values(await plain_scorer.score(trajectories)) == expected


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10**6))
async def test_any_tree_scored_in_any_order_has_the_scores_of_its_paths(scorer, reference, seed):
    rng = random.Random(seed)
    tree = [Trajectory(problem=write_problem(rng))]
    for _ in range(8):
        tree.append(rng.choice(tree).extend(write_step(rng)))
    del tree[0]
    rng.shuffle(tree)
    half = len(tree) // 2

    together = values(await scorer.score(tree[:half]))
    apart = [values(await scorer.score([path]))[0] for path in tree[half:]]

    for path, scores in zip(tree, [*together, *apart], strict=True):
        assert scores == pytest.approx(reference(path), abs=1e-4)


async def test_a_search_computes_hardly_more_than_its_new_tokens(scorer, plain_scorer):
    rng = random.Random(2)
    beams = [[Trajectory(problem=write_problem(rng))] for _ in range(8)]
    num_scored_steps = num_new_tokens = computed = recomputed = 0
    for beam in beams:
        num_new_tokens += len(scorer._scoring.renderer.question(beam[0].problem.prompt))
    for _ in range(5):
        children = [[rng.choice(beam).extend(write_step(rng)) for _ in range(16)] for beam in beams]
        scorings = await asyncio.gather(*map(scorer.score, children))
        computed += sum(scoring.usage.scored_tokens for scoring in scorings)
        for group in children:
            steps = {(child.text, child.steps[-1].text): child.steps[-1] for child in group}
            num_scored_steps += len(steps)
            num_new_tokens += sum(
                len(scorer._scoring.renderer.step(step.text, is_first=False))
                for step in steps.values()
            )
            recomputed += sum(num_tokens(scorer, child) for child in group)
        beams = [rng.sample(group, 4) for group in children]

    limit = num_new_tokens + BLOCK_SIZE / 2 * num_scored_steps
    print(f"computed {computed}, limit {limit}, recomputing {recomputed}")
    assert computed <= 1.1 * limit
    assert computed < recomputed / 2


async def test_whole_solutions_of_one_problem_share_their_question(scorer):
    rng = random.Random(3)
    problem = write_problem(rng)
    solutions = [
        Trajectory(problem=problem, steps=tuple(write_step(rng) for _ in range(6)))
        for _ in range(8)
    ]
    usage = (await scorer.score(solutions)).usage

    num_question = len(scorer._scoring.renderer.question(problem.prompt))
    num_all = sum(num_tokens(scorer, solution) for solution in solutions)
    assert usage.scored_tokens <= num_all - 7 * (num_question - BLOCK_SIZE)
    assert usage.prompt_tokens == num_all
    assert usage.scored_tokens == usage.prompt_tokens - usage.cached_tokens


async def test_what_was_scored_costs_nothing_again(scorer):
    trajectory = write_trajectory(random.Random(4), 4)
    first = await scorer.score([trajectory, trajectory])
    second = await scorer.score([trajectory])

    assert first.usage.num_calls == 1
    assert second.usage.num_calls == second.usage.scored_tokens == 0
    assert second.usage.cached_tokens == second.usage.prompt_tokens > 0
    assert first.usage.prompt_tokens == 2 * second.usage.prompt_tokens
    assert second.scores == first.scores[:1]


async def test_after_a_reset_everything_is_computed_again(scorer):
    trajectory = write_trajectory(random.Random(8), 4)
    first = await scorer.score([trajectory])
    before = scorer.num_recomputed

    await scorer.reset_cache()
    again = await scorer.score([trajectory])

    assert again.usage.scored_tokens == first.usage.scored_tokens
    assert again.usage.cached_tokens == 0
    assert again.scores == first.scores
    assert scorer.num_recomputed == before


async def test_a_forgotten_score_of_a_cached_prefix_is_computed_again(scorer, reference):
    trajectory = write_trajectory(random.Random(5), 4)
    await scorer.score([trajectory])
    scorer._scoring.clear()
    before = scorer.num_recomputed

    again = await scorer.score([trajectory])

    assert scorer.num_recomputed == before + 1
    assert values(again) == [pytest.approx(reference(trajectory), abs=1e-4)]
    assert again.usage.scored_tokens > num_tokens(scorer, trajectory)


async def test_nan_is_a_failure_and_spoils_nothing_else(scorer, reference):
    rng = random.Random(6)
    good = write_trajectory(rng, 3)
    poisoned = replace(good, steps=(*good.steps, Step(text="So ~ it is.")))
    others = [write_trajectory(rng, 3) for _ in range(20)]

    scoring = await scorer.score([poisoned, good, *others])

    failure = scoring.scores[0]
    assert isinstance(failure, Failure)
    assert "nan" in failure.message
    rest = values(replace(scoring, scores=scoring.scores[1:]))
    later = values(await scorer.score([write_trajectory(rng, 8)]))
    assert rest == [pytest.approx(reference(path), abs=1e-4) for path in (good, *others)]
    assert all(0 <= score <= 1 for score in later[0])


async def test_what_cannot_be_scored_is_a_failure_in_its_place(scorer):
    rng = random.Random(7)
    fine = write_trajectory(rng, 2)
    empty = replace(fine, steps=(Step(text=" \n\n"),))
    long = write_trajectory(rng, 100)

    scores = (await scorer.score([empty, fine, long])).scores

    assert [getattr(score, "kind", None) for score in scores] == [
        "EmptyStepError",
        None,
        "ContextLengthError",
    ]
    assert "512" in scores[2].message


async def test_a_solution_that_just_fits_is_scored(scorer):
    rng = random.Random(8)
    trajectory = write_trajectory(rng, 1)
    room = scorer._engine.max_model_len - num_tokens(scorer, trajectory)
    # "%" is a token of its own, and is never merged.
    text = trajectory.steps[0].text.strip() + "%9" * (room // 2) + "%" * (room % 2)
    fitting = replace(trajectory, steps=(Step(text=text),))

    assert num_tokens(scorer, fitting) == scorer._engine.max_model_len
    assert len(values(await scorer.score([fitting]))[0]) == 1


async def test_a_trajectory_without_steps_has_no_scores(scorer):
    scoring = await scorer.score([Trajectory(problem=Problem(id="p", prompt="?"))])

    assert scoring.scores == (StepScores(values=()),)


async def test_the_checkpoint_has_the_layout_that_vllm_serves(tiny_prm):
    config = json.loads((tiny_prm / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForProcessRewardModel"]


@pytest.mark.parametrize("exists", [False, True])
async def test_a_missing_model_is_named(tmp_path, exists):
    folder = tmp_path / "model"
    if exists:
        folder.mkdir()
    with pytest.raises(EngineError, match=str(folder)):
        await vllm_scorer.VllmScorer(prm=Prm(model=str(folder))).start()

"""What holds for every family, whatever the texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prm_search.errors import ConfigurationError, EmptyStepError, ScoringError
from prm_search.prms.prm import Prm
from prm_search.prms.reason_eval import Quality, ReasonEval
from prm_search.prms.rendering import RenderedSolution, renderer_of
from prm_search.tokens import following_tokens
from prm_search.types import Failure, Problem, Step, StepScores, Trajectory

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from actors.transformers_options import TransformersOptions  # noqa: E402
from actors.transformers_scorer import TransformersScorer  # noqa: E402
from tests.prms.families.checkpoints import FAMILIES, TOKENIZERS  # noqa: E402

ONE_INPUT = [
    "qwen_prm",
    "math_shepherd",
    "rlhflow",
    "skywork_o1",
    "reason_eval_7b",
    "reason_eval_34b",
]
WHOLE_ANSWERS = ["qwen_reward", "skywork_reward"]
# "▁" is how sentencepiece writes a space; "<" may begin a special token.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="▁<"), min_size=1, max_size=30
).filter(str.strip)
STEPS = st.lists(TEXT, min_size=1, max_size=5)
SHARED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)


def whole_text(name: str, tokenizer: Any, problem: str, steps: Sequence[str]) -> list[int]:
    """The tokens that the authors' code gets from the whole text."""
    match name:
        case "qwen_prm":
            answer = "".join(f"{step}<extra_0>" for step in steps)
            turns = [("user", problem), ("assistant", answer)]
        case "math_shepherd":
            output = "\n".join(f"{step} ки" for step in steps)
            return tokenizer.encode(f"{problem.strip()} {output}")
        case "rlhflow":
            turns = [("user", f"{problem.strip()} {steps[0]}"), ("assistant", "+")]
            for step in steps[1:]:
                turns += [("user", step), ("assistant", "+")]
        case "skywork_o1":
            parts = [tokenizer.bos_token + problem + "\n", *(x for s in steps for x in (s, "\n"))]
            return [token for part in parts for token in tokenizer.encode(part)]
        case _:
            separator = tokenizer.pad_token
            prompt = f"Question:\n{problem}\nAnswer:\nLet's think step by step.\n"
            ids = tokenizer.encode(prompt + separator + "".join(s + separator for s in steps))
            kept = [token for token in ids if token != tokenizer.pad_token_id]
            return kept if kept[0] == 1 else [1, *kept]
    chat = tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in turns], tokenize=False
    )
    return tokenizer.encode(chat, add_special_tokens=False)


def render(name: str, problem: str, steps: Sequence[str]) -> tuple[RenderedSolution, ...]:
    return renderer_of(FAMILIES[name], TOKENIZERS[name]())(problem, steps)


@pytest.mark.parametrize("name", ONE_INPUT)
@SHARED
@given(problem=TEXT, steps=STEPS)
def test_step_by_step_tokens_are_those_of_the_whole_text(name, problem, steps):
    contents = [step.strip() for step in steps]
    expected = whole_text(name, TOKENIZERS[name](), problem, contents)
    (solution,) = render(name, problem, [f"{step}\n\n" for step in steps])

    assert list(solution.token_ids) == expected[: len(solution.token_ids)]
    # What may be left closes the chat: an answer, the end of a turn, a line break.
    assert len(expected) - len(solution.token_ids) <= (2 if name in ("qwen_prm", "rlhflow") else 0)


@pytest.mark.parametrize("name", ONE_INPUT)
@SHARED
@given(problem=TEXT, steps=STEPS)
def test_each_step_is_scored_once_within_its_own_tokens(name, problem, steps):
    num_after = getattr(FAMILIES[name], "num_tokens_after_score", 0)
    ends = [len(render(name, problem, steps[:end])[0].token_ids) for end in range(len(steps) + 1)]
    (solution,) = render(name, problem, steps)

    assert solution.positions == tuple(end - 1 - num_after for end in ends[1:])
    assert all(end > start for start, end in pairwise(ends))
    assert len(set(solution.keys)) == len(steps)


@pytest.mark.parametrize("name", ONE_INPUT)
@SHARED
@given(problem=TEXT, steps=STEPS)
def test_a_rendered_prefix_begins_the_rendered_whole(name, problem, steps):
    *before, _ = steps
    (whole,), (prefix,) = render(name, problem, steps), render(name, problem, before)

    assert whole.token_ids[: len(prefix.token_ids)] == prefix.token_ids
    assert whole.positions[:-1] == prefix.positions
    assert whole.keys[:-1] == prefix.keys


@pytest.mark.parametrize("name", WHOLE_ANSWERS)
@SHARED
@given(problem=TEXT, steps=STEPS)
def test_each_prefix_is_a_whole_chat_that_is_scored_at_its_end(name, problem, steps):
    tokenizer = TOKENIZERS[name]()
    texts = [f"{step}\n\n" for step in steps]
    rendered = render(name, problem, texts)

    assert len(rendered) == len(steps)
    for end, solution in enumerate(rendered, start=1):
        turns = [("user", problem), ("assistant", "".join(texts[:end]).strip())]
        chat = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns], tokenize=False
        )
        assert list(solution.token_ids) == tokenizer.encode(chat, add_special_tokens=False)
        assert solution.positions == (len(solution.token_ids) - 1,)


@pytest.mark.parametrize("name", [*ONE_INPUT, *WHOLE_ANSWERS])
@pytest.mark.parametrize("texts", [[""], ["a", " \n\n"], ["a", "", "b"]])
def test_no_empty_step_is_scored(name, texts):
    with pytest.raises(EmptyStepError):
        render(name, "?", texts)


@pytest.mark.parametrize("name", ONE_INPUT)
def test_what_looks_like_a_special_token_in_a_step_is_plain_text(name):
    tokenizer = TOKENIZERS[name]()
    fakes = "so " + " ".join(tokenizer.all_special_tokens) + " it is"
    (plain,), (fake,) = render(name, "?", ["so it is"]), render(name, "?", [fakes])

    for token in tokenizer.all_special_ids:
        assert fake.token_ids.count(token) == plain.token_ids.count(token)


@pytest.mark.parametrize("name", WHOLE_ANSWERS)
def test_an_answer_with_special_tokens_is_not_judged(name):
    with pytest.raises(ScoringError, match="special tokens"):
        render(name, "?", [f"so {TOKENIZERS[name]().eos_token} it is"])


@pytest.mark.parametrize("name", ["math_shepherd", "skywork_o1", "reason_eval_7b"])
def test_a_system_prompt_without_a_place_is_refused(name):
    renderer = renderer_of(FAMILIES[name], TOKENIZERS[name](), system_prompt="Be strict.")
    with pytest.raises(ConfigurationError, match=r"prm\.system_prompt"):
        renderer("?", ["a"])


@pytest.mark.parametrize("name", ["qwen_prm", "rlhflow", *WHOLE_ANSWERS])
def test_a_system_prompt_is_shown(name):
    tokenizer = TOKENIZERS[name]()
    solution, *_ = renderer_of(FAMILIES[name], tokenizer, system_prompt="Be strict.")("?", ["a"])
    assert "Be strict." in tokenizer.decode(solution.token_ids)


def test_a_chat_template_that_rewrites_earlier_turns_is_refused():
    tokenizer = TOKENIZERS["rlhflow"]()
    rewriting = type(
        "Rewriting",
        (),
        {
            "chat_template": "",
            "encode": tokenizer.encode,
            "apply_chat_template": lambda self, turns, **_: str(turns),
        },
    )()
    with pytest.raises(ConfigurationError, match="does not append"):
        FAMILIES["rlhflow"].question(rewriting, "?", None)


@pytest.mark.parametrize("name", ["math_shepherd", "reason_eval_34b"])
def test_text_that_grows_together_with_the_tag_has_no_tokens_of_its_own(name):
    tokenizer = TOKENIZERS[name]()
    assert following_tokens(tokenizer, "ки", " eggs") == tuple(tokenizer.encode("ки eggs"))[-1:]
    with pytest.raises(ConfigurationError, match="joins 'eg'"):
        following_tokens(tokenizer, "eg", "gs")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_head_of_another_kind_is_refused(name):
    with pytest.raises(ConfigurationError, match="outputs"):
        FAMILIES[name].score([0.2, 0.2, 0.2, 0.4])


def test_what_is_no_family_is_refused():
    with pytest.raises(ConfigurationError, match="int says neither"):
        renderer_of(3, TOKENIZERS["qwen_prm"]())  # pyright: ignore[reportArgumentType]


def test_reason_eval_scores_validity_or_usefulness():
    row = [0.2, 0.3, 0.5]
    assert ReasonEval().score(row) == pytest.approx(0.8)
    assert ReasonEval(quality=Quality.usefulness).score(row) == pytest.approx(0.7)
    with pytest.raises(ConfigurationError, match="num_tokens_after_score"):
        ReasonEval(num_tokens_after_score=-1)


@pytest.fixture(scope="module")
def scored(checkpoint: Callable[[str], Prm]):
    """Scores trajectories together or alone, on engines that stay."""
    scorers: dict[str, TransformersScorer] = {}

    async def score(name: str, trajectories: Sequence[Trajectory]) -> list[StepScores | Failure]:
        if name not in scorers:
            options = TransformersOptions(device="cpu")
            scorers[name] = TransformersScorer(prm=checkpoint(name), options=options)
            await scorers[name].start()
        return list((await scorers[name].score(trajectories)).scores)

    return score


@pytest.mark.parametrize("name", [*ONE_INPUT, *WHOLE_ANSWERS])
async def test_what_is_scored_beside_it_changes_no_score(scored, name):
    trajectories = [
        Trajectory(
            problem=Problem(id=str(length), prompt="How many? " * (1 + length % 3)),
            steps=tuple(Step(text=f"{'so ' * (length + index)}{index}\n\n") for index in range(4)),
        )
        for length in (1, 30, 4, 60, 2)
    ]
    together = await scored(name, trajectories)
    for trajectory, scores in zip(trajectories, together, strict=True):
        (alone,) = await scored(name, [trajectory])
        assert isinstance(scores, StepScores)
        assert len(scores.values) == len(trajectory.steps)
        assert scores.values == pytest.approx(alone.values, abs=2e-5)


@pytest.mark.parametrize("name", ["reason_eval_7b", "qwen_reward"])
async def test_what_cannot_be_scored_is_a_failure_in_its_place(scored, name):
    fine = Trajectory(problem=Problem(id="p", prompt="?"), steps=(Step(text="a b"),))
    none = Trajectory(problem=fine.problem)
    long = fine.extend(Step(text="x " * 2000))
    empty = Trajectory(problem=fine.problem, steps=(Step(text=" "),))

    scores = await scored(name, [fine, none, long, empty])

    kinds = [getattr(score, "kind", None) for score in scores]
    assert kinds == [None, None, "ContextLengthError", "EmptyStepError"]
    assert scores[1] == StepScores(values=())

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prm_search.errors import ConfigurationError, EmptyStepError
from prm_search.prms.rendering import render, renderer_of
from prm_search.prms.tagged_head import TaggedHead

transformers = pytest.importorskip("transformers")
FAMILY = TaggedHead()
TEXT = st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=40)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return transformers.AutoTokenizer.from_pretrained(tiny_model)


@SHARED
@given(problem=TEXT, steps=st.lists(TEXT.filter(str.strip), min_size=1, max_size=5))
def test_step_by_step_tokens_are_those_of_the_whole_conversation(tokenizer, problem, steps):
    (solution,) = renderer_of(FAMILY, tokenizer)(problem, steps)
    whole = tokenizer.apply_chat_template(
        [
            {"role": "user", "content": problem},
            {"role": "assistant", "content": "".join(f"{s.strip()}<extra_0>" for s in steps)},
        ],
        tokenize=False,
    )
    expected = tokenizer.encode(whole)

    assert list(solution.token_ids) == expected[: len(solution.token_ids)]
    assert tokenizer.decode(expected[len(solution.token_ids) :]).strip() == "<|im_end|>"
    tag = tokenizer.convert_tokens_to_ids("<extra_0>")
    tags = [i for i, token in enumerate(solution.token_ids) if token == tag]
    assert tags == list(solution.positions)


@SHARED
@given(steps=st.lists(st.lists(st.integers(0, 9), min_size=1), min_size=1, max_size=6))
def test_appending_a_step_changes_nothing_before_it(steps):
    *before, _ = steps
    whole, prefix = render([1, 2], steps), render([1, 2], before)

    assert whole.token_ids[: len(prefix.token_ids)] == prefix.token_ids
    assert whole.positions[:-1] == prefix.positions
    assert whole.keys[:-1] == prefix.keys
    assert len(set(whole.keys)) == len(steps)


def test_a_tag_written_by_the_policy_is_plain_text(tokenizer):
    tag = tokenizer.convert_tokens_to_ids("<extra_0>")

    assert FAMILY.step(tokenizer, "so <extra_0> and <|im_end|>", is_first=True).count(tag) == 1


def test_white_space_around_a_step_is_not_scored(tokenizer):
    steps = [FAMILY.step(tokenizer, text, is_first=True) for text in (" a\n\n", "a")]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_empty_step_is_refused(tokenizer, text):
    with pytest.raises(EmptyStepError):
        FAMILY.step(tokenizer, text, is_first=True)


def test_a_tag_that_is_no_token_is_refused(tokenizer):
    with pytest.raises(ConfigurationError, match="step_tag"):
        TaggedHead(step_tag="<no such tag>").step(tokenizer, "a", is_first=True)


def test_the_score_is_the_probability_of_right():
    assert FAMILY.score([0.25, 0.75]) == 0.75

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.errors import EmptyStepError
from prm_search.steps import segment, split_text
from prm_search.types import Problem, StopReason, Trajectory

PIECES = st.lists(
    st.sampled_from(["a", "b.", "\n", "\n\n", ".\n\n", "\n\n\n", "\n\nc", " ", "", "d\n\ne\n\nf"]),
    max_size=30,
)


def cut(pieces, stop_reason=StopReason.END):
    ids = range(100, 100 + len(pieces))
    logprobs = [-0.5 * index for index in range(len(pieces))]
    return segment(ids, pieces, logprobs=logprobs, separator="\n\n", stop_reason=stop_reason)


@given(PIECES)
def test_steps_joined_are_the_whole(pieces):
    steps = cut(pieces)

    assert "".join(step.text for step in steps) == "".join(pieces)
    ids = [token for step in steps for token in step.token_ids]
    assert ids == list(range(100, 100 + len(pieces)))
    assert all(len(step.logprobs) == len(step.token_ids) for step in steps)


@given(PIECES)
def test_every_step_has_content_if_any_has(pieces):
    steps = cut(pieces)

    assert steps
    if "".join(pieces).strip():
        assert all(step.content for step in steps)
    else:
        assert len(steps) == 1


@given(PIECES)
def test_only_the_last_step_has_the_final_stop_reason(pieces):
    *ended, last = cut(pieces, StopReason.LENGTH)

    assert last.stop_reason is StopReason.LENGTH
    assert all(step.stop_reason is StopReason.STEP for step in ended)
    assert all("\n\n" in step.text for step in ended)


@given(PIECES)
def test_steps_make_a_trajectory_of_as_many_steps(pieces):
    steps = cut(pieces)
    if steps[0].content:
        trajectory = Trajectory(problem=Problem(id="p", prompt="?")).extend(*steps)
        assert trajectory.steps == steps


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        (["a", "\n\n", "b"], ["a\n\n", "b"]),
        (["a", "\n", "\n", "b"], ["a\n\n", "b"]),
        (["a", ".\n\nb", "c"], ["a.\n\nb", "c"]),  # the token belongs to the step it completes
        (["a", "\n\n", "\n\n", "b"], ["a\n\n\n\n", "b"]),  # white space joins the step before
        (["\n\n", "a", "\n\n", "b"], ["\n\na\n\n", "b"]),  # or the one after, at the beginning
        (["\n\n", "\n", "a"], ["\n\n\na"]),
        (["a", "\n\n", ""], ["a\n\n"]),
        ([" "], [" "]),
        ([], [""]),
    ],
)
def test_where_steps_are_cut(pieces, texts):
    assert [step.text for step in cut(pieces)] == texts


def test_an_end_token_after_a_separator_ends_the_step_before():
    (step,) = cut(["a", "\n\n", ""])

    assert step.stop_reason is StopReason.END
    assert len(step.token_ids) == 3


@given(st.text(alphabet="ab \n", max_size=40))
def test_written_solutions_are_cut_without_loss(text):
    if not text.strip():
        with pytest.raises(EmptyStepError):
            split_text(text, "\n\n")
        return
    steps = split_text(text, "\n\n")

    assert "".join(step.text for step in steps) == text
    assert all(step.content and not step.token_ids for step in steps)
    assert steps[-1].stop_reason is StopReason.END
    assert all(step.stop_reason is StopReason.STEP for step in steps[:-1])

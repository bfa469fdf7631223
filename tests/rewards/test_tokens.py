"""From steps to tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.rewards import read_completion, step_spans
from prm_search.rewards.credit import Advantages, pad, spread_over_sizes, spread_over_spans
from prm_search.steps import segment
from prm_search.types import Problem, StopReason, Trajectory

PROBLEM = Problem(id="p", prompt="1+1?", answer="2")


def advantages(*steps: float, rest: float = 0.0) -> Advantages:
    return Advantages(steps=steps, rest=rest)


def test_a_token_over_a_boundary_belongs_to_the_step_that_it_completes() -> None:
    spans = [(0, 4), (4, 8)]
    offsets = [(0, 2), (2, 4), (3, 5), (5, 8)]
    spread = spread_over_spans(advantages(1.0, 2.0), spans, offsets)
    assert spread.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_a_token_without_text_belongs_to_the_step_at_its_place() -> None:
    spans = [(0, 4), (4, 8)]
    offsets = [(0, 0), (4, 4), (4, 8), (8, 8)]
    spread = spread_over_spans(advantages(1.0, 2.0), spans, offsets)
    assert spread.tolist() == [1.0, 2.0, 2.0, 2.0]


def test_the_tokens_of_an_empty_completion_get_the_rest() -> None:
    assert spread_over_spans(advantages(rest=-1.5), [], [(0, 0)]).tolist() == [-1.5]
    assert spread_over_sizes(advantages(rest=-1.5), [2]).tolist() == [-1.5, -1.5]


def test_as_many_spans_or_sizes_as_steps_are_needed() -> None:
    with pytest.raises(ValueError, match="2 advantages for 1 steps"):
        spread_over_spans(advantages(1.0, 2.0), [(0, 4)], [(0, 4)])
    with pytest.raises(ValueError, match="2 advantages for 1 steps"):
        spread_over_sizes(advantages(1.0, 2.0), [4])


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pad([spread_over_sizes(advantages(1.0), [4])], 3)
    assert pad([], 3).shape == (0, 3)


PIECES = st.lists(st.sampled_from(["a", "bc", "\n", "\n\n", " ", ".\n", "\nd", ""]), max_size=12)


@given(pieces=PIECES)
def test_spans_and_sizes_agree_with_how_a_policy_is_cut_into_steps(pieces: list[str]) -> None:
    steps = segment(range(len(pieces)), pieces, separator="\n\n", stop_reason=StopReason.END)
    trajectory = Trajectory(problem=PROBLEM, steps=steps)
    spans = step_spans(trajectory)
    if not spans:
        assert not "".join(pieces).strip()
        return
    credited = advantages(*map(float, range(len(spans))))
    ends = [len("".join(pieces[: index + 1])) for index in range(len(pieces))]
    offsets = list(zip([0, *ends], ends, strict=False))
    by_span = spread_over_spans(credited, spans, offsets)
    by_size = spread_over_sizes(credited, [len(step.token_ids) for step in steps])
    wide = [index for index, piece in enumerate(pieces) if piece]
    assert by_span[wide].tolist() == by_size[wide].tolist()


@given(pieces=PIECES, is_truncated=st.booleans())
def test_a_completion_is_the_text_of_its_steps(pieces: list[str], is_truncated: bool) -> None:
    completion = "".join(pieces)
    trajectory = read_completion(PROBLEM, completion, separator="\n\n", is_truncated=is_truncated)
    spans = step_spans(trajectory)
    assert len(spans) == len(trajectory.steps)
    if not completion.strip():
        assert trajectory.steps == ()
        return
    assert trajectory.text == completion
    assert (spans[0][0], spans[-1][1]) == (0, len(completion))
    for (start, end), step in zip(spans, trajectory.steps, strict=True):
        assert completion[start:end] == step.text
    assert trajectory.stop_reason is (StopReason.LENGTH if is_truncated else StopReason.END)

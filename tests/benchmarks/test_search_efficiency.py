"""The arithmetic behind the benchmark's figures, by hand."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.search_efficiency import ScoredTokens, compare, majority_at_tokens


def pool(*answers: str | None, tokens: int = 10) -> dict[str, object]:
    """A record of samples with these answers; "1" is right."""
    return {
        "problem": "p",
        "candidates": [
            {"answer": answer, "is_correct": answer == "1", "num_tokens": tokens}
            for answer in answers
        ],
    }


def search(is_correct: bool, tokens: int) -> dict[str, object]:
    """A record of a search."""
    return {
        "problem": "p",
        "is_correct": is_correct,
        "usage": {"policy": {"generated_tokens": tokens}},
    }


def test_majority_gets_at_least_as_many_tokens_as_the_search() -> None:
    votes = pool("2", "1", "1", "2", "2")
    assert majority_at_tokens(votes, 10) == (False, 10)
    assert majority_at_tokens(votes, 21) == (True, 30)
    assert majority_at_tokens(votes, 50) == (False, 50)
    assert majority_at_tokens(votes, 1_000) == (False, 50), "all that there are"


def test_a_tie_goes_to_the_answer_that_came_first() -> None:
    assert majority_at_tokens(pool("1", "2"), 20) == (True, 20)
    assert majority_at_tokens(pool("2", "1"), 20) == (False, 20)


def test_samples_without_an_answer_cost_but_do_not_vote() -> None:
    assert majority_at_tokens(pool(None, None, "1"), 30) == (True, 30)
    assert majority_at_tokens(pool(None), 10) == (False, 10)


def test_a_comparison_pairs_problems_and_seeds() -> None:
    def run(
        seed: int, right: bool
    ) -> tuple[int, Sequence[dict[str, object]], Sequence[dict[str, object]]]:
        return seed, [search(right, 15)], [pool("2", "1", "1")]

    compared = compare([run(0, True), run(1, False)])
    assert compared.method == {("p", 0): True, ("p", 1): False}
    assert compared.majority == {("p", 0): False, ("p", 1): False}
    assert (compared.method_tokens, compared.majority_tokens) == (30, 40)


def test_the_bound_adds_half_a_block_per_scored_step() -> None:
    counted = ScoredTokens(new=1_000, num_steps=10, computed=1_100, recomputed=9_000)
    assert counted.bound == 1_000 + 10 * 16

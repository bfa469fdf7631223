"""The arithmetic behind the figures of labeling costs, by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.labeling import LabelBench, RememberingCompleter, annotate_all, sample_responses
from benchmarks.labeling_cost import (
    METHODS,
    SUBSETS,
    Labeled,
    fewest_rollouts,
    full_recipe,
    known_responses,
    share_identical,
    simulated,
    summary,
)
from prm_search.budget import Ledger, Role
from prm_search.fakes import FakeGenerator, FakeGrader, FakeJudge
from prm_search.labeling.annotation import Annotation
from prm_search.labeling.step_labels import no_labels, step_labels
from prm_search.types import Failure, Problem, Usage


def annotation(first_error: int | None, *, num_rollouts: int = 0, tokens: int = 0) -> Annotation:
    ledger = Ledger().charge(
        Role.POLICY, Usage(generated_tokens=tokens), num_generations=num_rollouts
    )
    labels = step_labels(3, first_error, source="s")
    return Annotation(labels=labels, first_error=first_error, ledger=ledger)


def rejected() -> Annotation:
    return Annotation(
        labels=no_labels(3, source="s"), rejection=Failure(kind="tie", message="a tie")
    )


def test_figures_are_means_over_responses() -> None:
    labeled = Labeled(
        annotations=[
            annotation(1, num_rollouts=4, tokens=10),
            annotation(None, num_rollouts=8, tokens=40),
        ],
        seconds=3.0,
    )
    assert labeled.rollouts_per_response == 6
    assert labeled.tokens_per_response == 25
    assert labeled.seconds_per_response == 1.5


def test_labels_are_identical_if_values_are() -> None:
    first = [annotation(1), annotation(None), rejected(), annotation(2)]
    second = [annotation(1, num_rollouts=8), annotation(2), rejected(), rejected()]
    assert share_identical(first, second) == 0.5


def test_the_full_recipe_keeps_agreement_and_pays_for_both() -> None:
    exhaustive = Labeled(
        annotations=[annotation(1, num_rollouts=16, tokens=90), annotation(2), annotation(0)],
        seconds=10.0,
    )
    judge = Labeled(
        annotations=[annotation(1, tokens=5), annotation(None), rejected()], seconds=2.0
    )
    both = full_recipe(exhaustive, judge)
    assert [item.first_error for item in both.annotations] == [1, None, None]
    assert [item.rejection is None for item in both.annotations] == [True, False, False]
    assert both.tokens_per_response == pytest.approx(95 / 3)
    assert both.rollouts_per_response == pytest.approx(16 / 3)
    assert both.seconds == 12.0


async def test_all_methods_on_fakes_agree_where_they_must() -> None:
    generator = FakeGenerator(num_steps=5, error_rate=0.2, wrong_answers=("12", "7", "8"))
    problems = [Problem(id=str(i), prompt="six and six?", answer="12") for i in range(20)]
    responses = await sample_responses(generator, problems, num_responses=2)
    bench = LabelBench(
        completer=generator, judge=FakeJudge(accuracy=0.8), grader=FakeGrader(), engines=()
    )
    labeled = {}
    for name, annotator in METHODS.items():
        annotations, seconds = await annotate_all(annotator, responses, bench)
        labeled[name] = Labeled(annotations=annotations, seconds=seconds)
    labeled["consensus_exhaustive"] = full_recipe(labeled["exhaustive"], labeled["judge"])
    found = summary(labeled)
    for name in ("lazy", "stop_at_first_error", "consensus", "exhaustive"):
        assert found[f"{name}.identical_labels"] == 1.0
    assert found["lazy.times_fewer_rollouts"] > 2
    assert found["consensus.times_fewer_rollouts"] > found["lazy.times_fewer_rollouts"]
    assert found["exhaustive.rollouts_per_response"] == 32
    for verdict, estimate, drawn in zip(
        labeled["judge"].annotations,
        labeled["exhaustive"].annotations,
        labeled["consensus"].annotations,
        strict=True,
    ):
        assert fewest_rollouts(verdict, estimate) <= drawn.ledger.num_generations


@pytest.mark.parametrize(
    ("claimed", "found", "successes", "answer", "expected"),
    [
        (None, None, [3, 8, 1, 0], "right", 3),  # one success for each step but the last
        (1, 1, [3, 0, 5, 0], "right", 1 + 8),
        (3, 3, [3, 1, 5, 0], "wrong", 3),  # the last step needs no rollout
        (None, 1, [3, 0, 5, 0], "wrong", 0),  # the answer refutes the judge
        (3, 1, [3, 0, 5, 0], "right", 0),
        (2, 1, [3, 0, 5, 0], "wrong", 1),  # a success refutes it
        (2, 1, [3, 0, 0, 0], "wrong", 8),  # only the failure of step 1 does
        (None, 1, [3, 0, 5, 0], "right", 8),
    ],
)
def test_the_cheapest_proof(
    claimed: int | None, found: int | None, successes: list[int], answer: str, expected: int
) -> None:
    details = {"num_rollouts": [8, 8, 8, 0], "num_successes": successes, "answer": answer}
    estimate = Annotation(
        labels=step_labels(4, found, source="monte_carlo"),
        first_error=found,
        details={"monte_carlo": details},
    )
    assert fewest_rollouts(annotation(claimed), estimate) == expected


async def test_a_rollout_is_drawn_once_whoever_asks() -> None:
    generator = FakeGenerator(num_steps=4, error_rate=0.3)
    problem = Problem(id="p", prompt="six and six?", answer="12")
    responses = await sample_responses(generator, [problem], num_responses=3)
    remembering = RememberingCompleter(completer=generator)
    bench = LabelBench(completer=remembering, judge=FakeJudge(), grader=FakeGrader(), engines=())
    num_calls = generator.num_calls
    first, _ = await annotate_all(METHODS["exhaustive"], responses, bench)
    drawn = generator.num_calls - num_calls
    assert drawn == len(responses) * 3 * 8 == len(remembering.requests)
    again, _ = await annotate_all(METHODS["lazy"], responses, bench)
    assert generator.num_calls == num_calls + drawn
    assert share_identical(first, again) == 1.0


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_error_positions_are_those_of_the_data(data_dir: Path, subset: str) -> None:
    rows = json.loads((data_dir / "processbench" / f"{subset}.json").read_text())
    expected = Counter(
        (len(row["steps"]), None if row["label"] == -1 else row["label"]) for row in rows
    )
    known = known_responses(subset)
    assert Counter((item.num_steps, item.first_error) for item in known) == expected


async def test_the_simulation_covers_every_subset_and_the_methods_that_are_run() -> None:
    found = await simulated()
    methods = set(METHODS) - {"judge"}
    assert {f"processbench.{subset}.{name}" for subset in SUBSETS for name in methods} <= set(found)

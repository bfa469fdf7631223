"""What is learned: one analysis of a step, pairs of analyses, both classes alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.bootstrapping.analyst import (
    AnalysedProblem,
    AnalysedStep,
    Outcome,
    SampledAnalysis,
)
from prm_search.bootstrapping.bootstrap_totals import BootstrapTotals
from prm_search.bootstrapping.labeled_steps import LabeledProblem, LabeledSolution, LabeledStep
from prm_search.bootstrapping.rows import (
    analysis_rows,
    balanced,
    pair_rows,
    require_both_classes,
    split_by_problem,
    write_rows,
)
from prm_search.bootstrapping.settings import Preferences
from prm_search.budget import Ledger
from prm_search.errors import ConfigurationError, DataError
from prm_search.prms.sandbox_rprm import SandboxRPrm

FAMILY = SandboxRPrm()


def problem(number: int, *steps: tuple[bool, list[tuple[Outcome, str]]]) -> AnalysedProblem:
    labeled = tuple(
        LabeledStep(index=index, is_right=is_right) for index, (is_right, _) in enumerate(steps)
    )
    solution = LabeledSolution(steps=tuple(f"step {i}" for i in range(len(steps))), labeled=labeled)
    return AnalysedProblem(
        problem=LabeledProblem(id=f"p{number}", prompt=f"question {number}", solutions=(solution,)),
        steps=(
            tuple(
                AnalysedStep(
                    step=step,
                    analyses=tuple(
                        SampledAnalysis(outcome=outcome, text=text) for outcome, text in analyses
                    ),
                )
                for step, (_, analyses) in zip(labeled, steps, strict=True)
            ),
        ),
        ledger=Ledger(),
    )


analyses = st.lists(
    st.tuples(st.sampled_from(Outcome), st.sampled_from(["a", "b", "c", "d"])),
    min_size=1,
    max_size=6,
)
problems = st.lists(
    st.lists(st.tuples(st.booleans(), analyses), min_size=1, max_size=3), min_size=1, max_size=8
).map(lambda items: [problem(number, *steps) for number, steps in enumerate(items)])


@given(problems)
def test_each_step_gives_its_first_agreeing_analysis(items: list[AnalysedProblem]) -> None:
    rows = {(row.problem, row.step): row for row in analysis_rows(items, FAMILY)}
    for item in items:
        for step in item.steps[0]:
            row = rows.pop((item.problem.id, step.step.index), None)
            agreeing = step.texts(Outcome.agrees)
            assert (row is not None) == bool(agreeing)
            if row is not None:
                assert row.completion == agreeing[0]
                texts = item.problem.solutions[0].steps[: step.step.index + 1]
                assert row.prompt == FAMILY.message(item.problem.prompt, texts)
    assert not rows


@given(problems, st.sampled_from([0.0, 1 / 3, 0.5]), st.integers(1, 3))
def test_pairs_follow_the_rules(items: list[AnalysedProblem], share: float, most: int) -> None:
    preferences = Preferences(min_agreement=share, max_pairs_per_step=most)
    pairs = list(pair_rows(items, FAMILY, preferences))
    for item in items:
        for step in item.steps[0]:
            place = (item.problem.id, step.step.index)
            found = [pair for pair in pairs if (pair.problem, pair.step) == place]
            agreeing, others = step.texts(Outcome.agrees), step.texts(Outcome.disagrees)
            assert len(found) <= most
            assert len(set(found)) == len(found)
            assert all(pair.chosen in agreeing and pair.rejected in others for pair in found)
            if len(agreeing) <= share * len(step.analyses) or not others:
                assert not found
            else:
                assert found


@given(problems, st.integers(0, 3))
def test_both_classes_are_alike_in_number(items: list[AnalysedProblem], seed: int) -> None:
    rows = list(analysis_rows(items, FAMILY))
    kept = balanced(rows, seed)
    counts = [sum(row.is_right is kind for row in rows) for kind in (True, False)]
    assert [sum(row.is_right is kind for row in kept) for kind in (True, False)] == [
        min(counts)
    ] * 2
    assert kept == [row for row in rows if row in kept]
    assert balanced(rows, seed) == kept


@given(problems, st.floats(0, 0.9), st.integers(0, 3))
def test_no_problem_is_on_both_sides(items: list[AnalysedProblem], share: float, seed: int) -> None:
    rows = list(analysis_rows(items, FAMILY))
    train, validation = split_by_problem(rows, share, seed)
    assert not {row.problem for row in train} & {row.problem for row in validation}
    assert len(train) + len(validation) == len(rows)


def test_nothing_to_learn_says_what_came_instead() -> None:
    totals = BootstrapTotals(num_steps=3, outcomes={"agrees": 0, "unreadable": 12})
    with pytest.raises(DataError, match=r"no analysis of any steps.*12 unreadable"):
        require_both_classes([], "analysis", totals)


def test_one_class_alone_is_refused() -> None:
    [row] = analysis_rows([problem(0, (True, [(Outcome.agrees, "a")]))], FAMILY)
    with pytest.raises(DataError, match="no analysis of wrong steps"):
        require_both_classes([row], "analysis", BootstrapTotals())


def test_rows_have_the_columns_of_trl(tmp_path: Path) -> None:
    items = [problem(0, (False, [(Outcome.agrees, "good"), (Outcome.disagrees, "bad")]))]
    write_rows(tmp_path / "rows.jsonl", list(analysis_rows(items, FAMILY)))
    write_rows(tmp_path / "pairs.jsonl", list(pair_rows(items, FAMILY, Preferences())))
    row, pair = (json.loads((tmp_path / f"{name}.jsonl").read_text()) for name in ("rows", "pairs"))
    assert {"prompt", "completion"} <= set(row)
    assert (pair["chosen"], pair["rejected"]) == ("good", "bad")


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"num_analyses": 1}, "num_analyses"), ({"min_agreement": 1.0}, "min_agreement")],
)
def test_impossible_settings_are_named(settings: dict[str, float], field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"preferences.{field}"):
        Preferences(**settings)  # type: ignore[arg-type]

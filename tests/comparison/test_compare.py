"""Comparisons of runs made by hand, with numbers worked out by hand or stored."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from prm_search.budget import Role
from prm_search.comparison.compare import compare
from prm_search.comparison.comparison import Comparison
from prm_search.errors import DataError, StoreError
from prm_search.seeds import derive_seed
from prm_search.voting import Selection
from tests.comparison.made_runs import BEAM, RIGHT, Sample, best_of_n, searched, write

GOLDEN = Path(__file__).parents[1] / "golden" / "comparison.json"
NUM_PROBLEMS = 24


def chance(*path: str | int) -> float:
    return (derive_seed(0, *path) % 1000) / 1000


def samples_of(problem: int, seed: int, count: int) -> list[Sample]:
    """Samples that are right more often on easy problems; right ones score higher."""
    found: list[Sample] = []
    for place in range(count):
        is_right = chance("right", problem, seed, place) < 0.9 - 0.15 * (problem % 5)
        wrong = "7" if chance("wrong", problem, seed, place) < 0.7 else "8"
        score = chance("score", problem, seed, place) / 2 + 0.5 * is_right
        found.append((RIGHT if is_right else wrong, score))
    return found


def voted(samples: Sequence[Sample]) -> str | None:
    answers = [answer for answer, _ in samples]
    return max(answers, key=answers.count)


def weighed(samples: Sequence[Sample]) -> str | None:
    sums: dict[str | None, float] = {}
    for answer, score in samples:
        sums[answer] = sums.get(answer, 0.0) + (score or 0.0)
    return max(sums, key=sums.__getitem__)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Majority vote, weighted best-of-N and beam search with two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    for seed in (0, 1):
        votes, weighted, beams = [], [], []
        for number in range(NUM_PROBLEMS):
            name, level = f"p{number}", 1 + number % 5
            pool = samples_of(number, seed, 8)
            shared: dict[str, Any] = {"seed": seed, "level": level}
            votes.append(
                searched(
                    name,
                    pool,
                    method="majority",
                    best=voted(pool),
                    selection=Selection.majority,
                    **shared,
                )
            )
            weighted.append(searched(name, pool, method="weighted", best=weighed(pool), **shared))
            ended = samples_of(number, seed + 10, 4)
            beams.append(
                searched(
                    name,
                    ended,
                    method="beam",
                    best=weighed(ended),
                    per_round=2,
                    rounds_before=1,
                    **shared,
                )
            )
        write(folder / f"majority{seed}", votes, best_of_n("majority", 8), seed=seed)
        write(folder / f"weighted{seed}", weighted, best_of_n("weighted", 8), seed=seed)
        write(folder / f"beam{seed}", beams, BEAM, seed=seed)
    return folder


@pytest.fixture(scope="module")
def whole(sweep: Path) -> Comparison:
    return compared(sweep)


def compared(*paths: Path) -> Comparison:
    return compare(paths, parameters={Role.POLICY: 100, Role.PRM: 50}, num_resamples=500)


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_the_numbers_are_the_stored_ones(whole: Comparison) -> None:
    found = rounded(whole.to_json())
    found["directories"] = [Path(each).name for each in found["directories"]]
    found = json.loads(json.dumps(found))
    if os.environ.get("PRM_SEARCH_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(GOLDEN.read_text())


def test_seeds_are_pooled_and_costs_are_per_problem(whole: Comparison) -> None:
    found = {arm.name: arm for arm in whole.arms}
    assert list(found) == ["beam", "majority", "weighted"]
    assert all(arm.seeds == (0, 1) for arm in found.values())
    beam = found["beam"]
    assert beam.num_problems == NUM_PROBLEMS
    assert (beam.policy_tokens, beam.prm_tokens) == (60, 60)
    assert beam.flops == 2 * (100 * (60 + 4) + 50 * 60)
    assert beam.seconds == pytest.approx(3.0 / NUM_PROBLEMS)
    assert found["majority"].flops == 2 * 100 * (80 + 4)


def test_a_curve_ends_with_the_search_as_it_was_run(whole: Comparison) -> None:
    arms = {arm.name: arm for arm in whole.arms}
    for curve in whole.curves:
        assert [point.cost for point in curve.points] == sorted(
            point.cost for point in curve.points
        )
        last = curve.points[-1]
        assert last.limit is None
        assert last.accuracy == arms[curve.name].accuracy
    (weighted,) = (c for c in whole.curves_of("policy_tokens") if c.name == "weighted")
    assert [point.cost for point in weighted.points] == [10, 20, 30, 40, 60, 80]
    first = [samples_of(number, seed, 1)[0][0] for number in range(NUM_PROBLEMS) for seed in (0, 1)]
    assert weighted.points[0].accuracy.value == pytest.approx(first.count(RIGHT) / len(first))


def test_before_any_solution_has_ended_a_search_is_wrong_and_not_drawn(whole: Comparison) -> None:
    (beam,) = (c for c in whole.curves_of("policy_tokens") if c.name == "beam")
    first = beam.points[0]
    assert (first.cost, first.accuracy.value, first.share_answered) == (20, 0.0, 0.0)
    assert first not in beam.shown
    assert [point.cost for point in beam.shown] == [40, 60]


def test_majority_vote_has_as_many_tokens_as_the_search(whole: Comparison) -> None:
    (majority,) = whole.majority
    assert majority.samples_of == ("majority",)
    by_tokens, by_flops = majority.curves
    assert by_tokens.sizes[-1] == 16  # of both seeds
    assert by_tokens.costs[0] == 10
    assert by_flops.costs[0] == 2 * 100 * (10 + 4 / 8)
    assert majority.seconds_per_sample == pytest.approx(3.0 / NUM_PROBLEMS / 8)
    (weighted,) = (arm for arm in whole.arms if arm.name == "weighted")
    gap = whole.minus_majority(weighted, "policy_tokens")
    assert gap is not None
    at_equal = by_tokens.accuracy[by_tokens.sizes.index(8)]
    assert weighted.accuracy is not None
    assert gap.value == pytest.approx(weighted.accuracy.value - at_equal.value)


def test_a_majority_vote_is_not_compared_with_itself(whole: Comparison) -> None:
    (majority,) = (arm for arm in whole.arms if arm.is_majority)
    assert whole.minus_majority(majority, "policy_tokens") is None
    assert "majority" not in {each.name for each in (*whole.advice, *whole.losses)}


def test_without_a_majority_run_the_samples_of_best_of_n_are_taken(sweep: Path) -> None:
    found = compared(sweep / "weighted0", sweep / "beam0")
    (majority,) = found.majority
    assert majority.samples_of == ("weighted",)
    assert majority.seconds_per_sample is None  # its seconds would be those of the PRM, too
    assert any("samples of weighted" in note for note in found.notes)


def test_without_independent_samples_there_is_no_majority_vote_and_it_says_so(sweep: Path) -> None:
    found = compared(sweep / "beam0")
    assert (found.majority, found.advice, found.losses) == ((), (), ())
    assert any("no majority vote to compare with" in note for note in found.notes)


def test_methods_of_one_name_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    for size in (2, 4):
        pool = samples_of(0, 0, size)
        records = [searched("p0", pool, method="weighted", best=RIGHT)]
        write(tmp_path / f"n{size}", records, best_of_n("weighted", size))
    records = [searched("p0", pool, method="weighted", best=RIGHT)]
    write(tmp_path / "other", records, best_of_n("weighted", 4), prm={"model": "/models/other/prm"})
    assert [arm.name for arm in compared(tmp_path).arms] == [
        "weighted num_samples=2 prm=some/prm",
        "weighted num_samples=4 prm=some/prm",
        "weighted num_samples=4 prm=other/prm",
    ]


def test_the_temperature_of_rebase_is_none_of_the_policy(tmp_path: Path) -> None:
    votes = searched("p0", samples_of(0, 0, 4), method="majority", best=RIGHT,
                     selection=Selection.majority)  # fmt: skip
    rebase = searched("p0", samples_of(0, 0, 4), method="rebase", best=RIGHT)
    settings = {"_target_": "prm_search.search.rebase.Rebase", "temperature": 0.1}
    write(tmp_path / "votes", [votes], best_of_n("majority", 4))
    write(tmp_path / "rebase", [rebase], settings)
    found = compared(tmp_path)
    (arm,) = (arm for arm in found.arms if arm.name == "rebase")
    assert found.minus_majority(arm, "policy_tokens") is not None


def test_a_search_without_a_prm_counts_once_however_many_prms_the_sweep_has(tmp_path: Path) -> None:
    votes = searched("p0", samples_of(0, 0, 4), method="majority", best=RIGHT,
                     selection=Selection.majority)  # fmt: skip
    beams = searched("p0", samples_of(0, 0, 4), method="beam", best=RIGHT)
    for name in ("one", "other"):
        prm = {"model": f"some/{name}"}
        write(tmp_path / f"votes_{name}", [votes], best_of_n("majority", 4), prm=prm)
        write(tmp_path / f"beam_{name}", [beams], BEAM, prm=prm)
    found = compared(tmp_path)
    assert sorted(arm.name for arm in found.arms) == [
        "beam prm=some/one",
        "beam prm=some/other",
        "majority",
    ]
    assert any("another PRM, which they do not use" in note for note in found.notes)


def test_only_problems_that_all_have_searched_are_compared(tmp_path: Path) -> None:
    def records(method: str, *names: str) -> list[dict[str, Any]]:
        return [searched(name, [(RIGHT, 0.9)] * 2, method=method, best=RIGHT) for name in names]

    first = write(tmp_path / "a", records("weighted", "p1", "p2"), best_of_n("weighted", 2))
    second = write(tmp_path / "b", records("beam", "p2", "p3"), BEAM, is_finished=False)
    found = compared(first, second)
    assert found.num_problems == 1
    assert any("2 others are left out" in note for note in found.notes)
    assert any("have come to their end: beam" in note for note in found.notes)
    third = write(tmp_path / "c", records("dvts", "p4"), BEAM)
    with pytest.raises(DataError, match="no problem has been searched by all"):
        compared(first, third)


def test_runs_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    one = searched("p1", [(RIGHT, 0.9)] * 2, method="beam", best=RIGHT)
    first, again = (write(tmp_path / name, [one], BEAM) for name in ("a", "b"))
    with pytest.raises(DataError, match="with seed 0 is there twice"):
        compared(first, again)
    other = {**one, "method": "dvts", "prompt": "Something else?"}
    with pytest.raises(DataError, match="not the same in"):
        compared(first, write(tmp_path / "c", [other], BEAM))


def test_a_folder_without_runs_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        compared(tmp_path)


def test_failed_searches_and_ungradable_answers_are_counted_and_in_no_accuracy(
    tmp_path: Path,
) -> None:
    records = [
        searched(f"p{number}", [(RIGHT, 0.9)] * 2, method="beam", best=RIGHT) for number in range(4)
    ]
    error = {"kind": "EngineError", "message": "lost", "is_transient": False}
    records[0] |= {"is_correct": None, "error": error, "course": None, "candidates": []}
    records[1] |= {"is_correct": None, "grading_failure": {"kind": "GradingError", "message": "?"}}
    (arm,) = compared(write(tmp_path / "run", records, BEAM)).arms
    assert (arm.num_failures, arm.num_ungradable) == (1, 1)
    assert arm.accuracy is not None
    assert arm.accuracy.value == 1.0
    assert arm.policy_tokens == 20


def test_runs_of_an_earlier_version_have_their_end_and_no_curve(tmp_path: Path) -> None:
    made = searched("p1", [(RIGHT, 0.9)] * 2, method="beam", best=RIGHT)
    del made["course"]
    for candidate in made["candidates"]:
        del candidate["group"]
    found = compared(write(tmp_path / "run", [made], BEAM))
    (curve,) = found.curves_of("policy_tokens")
    assert [point.limit for point in curve.points] == [None]
    assert any("earlier version" in note for note in found.notes)


def test_without_the_size_of_a_model_there_are_no_flops(sweep: Path) -> None:
    found = compare([sweep], parameters={Role.POLICY: 100}, num_resamples=50)
    assert {curve.name for curve in found.curves_of("flops")} == {"majority"}
    assert any("--prm-parameters" in note for note in found.notes)

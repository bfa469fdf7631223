"""Every reference answer of GSM8K and MATH-500 must be found in a solution and equal itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from prm_search.data import Gsm8k, Math500, Rows
from prm_search.grading import AnswerPattern, Comparison, extract_answer, normalize
from prm_search.grading.normalization import clean
from prm_search.grading.pool import WorkerPool
from prm_search.types import Problem

# Reference answers that do not come back from a solution, or that are not equal to themselves,
# by problem id, with the reason. There are none.
EXCEPTIONS: dict[str, str] = {}


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(num_processes=2, max_seconds=5.0, max_memory_mib=1024)
    yield pool
    pool.close()


def answer_of(problem: Problem) -> str:
    assert problem.answer is not None
    return problem.answer


def unequal_to_themselves(pool: WorkerPool, answers: dict[str, str]) -> dict[str, str]:
    """Below the comparison of strings: by mathematics alone."""
    results: dict[str, Future[Comparison]] = {
        name: pool.submit(clean(answer), clean(answer)) for name, answer in answers.items()
    }
    return {
        name: str(result)
        for name, future in results.items()
        if (result := future.result(timeout=60)) is not Comparison.equal
    }


def test_gsm8k_answers(data_dir: Path, pool: WorkerPool) -> None:
    problems = [
        problem
        for split in ("train", "test")
        for problem in Gsm8k(path=str(data_dir / f"gsm8k/{split}.jsonl")).load().problems
    ]
    assert len(problems) == 7473 + 1319
    failed = set[str]()
    for problem in problems:
        gold = answer_of(problem)
        own_solution = str(problem.metadata["solution"])
        for solution in (
            own_solution,
            f"{own_solution}\nSo it is $\\boxed{{{gold}}}$.",
            f"We add.\n\nThe answer is \\boxed{{{gold}}}.",
            f"The final answer is {gold}.",
            f"#### {gold}",
        ):
            if extract_answer(solution) != gold:
                failed.add(problem.id)
        if normalize(gold) != normalize(f"${gold}$."):
            failed.add(problem.id)
    distinct = {answer_of(problem): answer_of(problem) for problem in problems}
    failed |= unequal_to_themselves(pool, distinct).keys()
    assert failed == {name for name in EXCEPTIONS if not name.startswith("test/")}


def test_math500_answers(data_dir: Path, pool: WorkerPool) -> None:
    problems = Math500(path=str(data_dir / "math500/test.jsonl")).load().problems
    assert len(problems) == 500
    failed = set[str]()
    for problem in problems:
        gold = answer_of(problem)
        for solution in (
            str(problem.metadata["solution"]),
            f"So $\\boxed{{{gold}}}$.",
            f"\\boxed{{0}} is wrong.\n\nThe answer is \\boxed{{{gold}}}.",
        ):
            if extract_answer(solution, [AnswerPattern.boxed]) != gold:
                failed.add(problem.id)
        stated = extract_answer(f"The final answer is: ${gold}$. I hope it is correct.")
        if normalize(stated or "") != normalize(gold):
            failed.add(problem.id)
    failed |= unequal_to_themselves(
        pool, {problem.id: answer_of(problem) for problem in problems}
    ).keys()
    assert failed == {name for name in EXCEPTIONS if name.startswith("test/")}


def test_different_answers_are_told_apart(data_dir: Path, pool: WorkerPool) -> None:
    problems = Math500(path=str(data_dir / "math500/test.jsonl")).load().problems
    answers = sorted({normalize(answer_of(problem)) for problem in problems})
    pairs = list(zip(answers, answers[7:], strict=False))
    results = [pool.submit(*pair) for pair in pairs]
    equal = [
        pair
        for pair, result in zip(pairs, results, strict=True)
        if result.result(timeout=60) is Comparison.equal
    ]
    undecided = [
        pair
        for pair, result in zip(pairs, results, strict=True)
        if result.result() not in (Comparison.equal, Comparison.different)
    ]
    assert equal == []
    assert undecided == []


def test_math_training_answers(data_dir: Path) -> None:
    path = data_dir / "math_train_7500/extracted_problems_and_answers.json"
    loaded = Rows(path=str(path), answer_column="final_answer", require_answers=True).load()
    assert len(loaded.problems) == 7498
    assert [row.row for row in loaded.set_aside] == [2301, 2545]  # no answer in the file
    failed = [
        problem.id
        for problem in loaded.problems
        if extract_answer(f"\\boxed{{{problem.answer}}}") != problem.answer
    ]
    assert failed == []

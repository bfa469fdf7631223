from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from prm_search.data import Gsm8k, Math500, Rows


@pytest.mark.parametrize(("split", "count"), [("train", 7473), ("test", 1319)])
def test_gsm8k(data_dir: Path, split: str, count: int) -> None:
    loaded = Gsm8k(path=str(data_dir / f"gsm8k/{split}.jsonl"), require_answers=True).load()
    assert len(loaded.problems) == count
    assert loaded.set_aside == ()
    assert len({problem.prompt for problem in loaded.problems}) == count


def test_math500(data_dir: Path) -> None:
    loaded = Math500(path=str(data_dir / "math500/test.jsonl"), require_answers=True).load()
    assert len(loaded.problems) == 500
    assert loaded.set_aside == ()
    assert loaded.problems[0].id == "test/precalculus/807.json"
    assert {"subject", "level", "solution"} == loaded.problems[0].metadata.keys()
    levels = Counter(problem.metadata["level"] for problem in loaded.problems)
    assert levels == {1: 43, 2: 90, 3: 105, 4: 128, 5: 134}


def test_math_training_problems(data_dir: Path) -> None:
    path = data_dir / "math_train_7500/extracted_problems_and_answers.json"
    problems = Rows(path=str(path), answer_column="final_answer").load().problems
    assert len(problems) == 7500
    assert sum(problem.answer is None for problem in problems) == 2
    texts = Counter(" ".join(problem.prompt.split()) for problem in problems)
    twice = [text for text, count in texts.items() if count > 1]  # but for white space
    assert twice == [
        "Real numbers $x$ and $y$ satisfy the equation $x^2 + y^2 = 10x - 6y - 34$. What is $x+y$?"
    ]
    math500 = Math500(path=str(data_dir / "math500/test.jsonl")).load().problems
    assert not texts.keys() & {" ".join(problem.prompt.split()) for problem in math500}

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prm_search.grading import GraderSettings, MathGrader


@pytest.fixture(scope="module")
def grader() -> Iterator[MathGrader]:
    grader = MathGrader(GraderSettings(max_seconds=5.0))
    yield grader
    grader.close()

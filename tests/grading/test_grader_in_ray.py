from __future__ import annotations

import asyncio

import pytest

from prm_search.errors import GradingError
from prm_search.grading import GraderSettings, MathGrader


@pytest.mark.ray
def test_grades_inside_tasks_and_threaded_actors() -> None:
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:

        @ray.remote(max_concurrency=4)
        class Grading:
            def __init__(self, grader: MathGrader) -> None:
                self.grader = grader

            def in_thread(self, first: str, second: str) -> bool:
                return asyncio.run(self.grader.equivalent(first, second))

        actor = Grading.remote(MathGrader(GraderSettings(max_seconds=1.0)))
        calls = [actor.in_thread.remote(f"{n}/2", f"{n / 2}") for n in range(1, 20, 2)]
        assert all(ray.get(calls, timeout=120))
        with pytest.raises(GradingError, match="not gradable"):
            ray.get(actor.in_thread.remote("1000000000!", "5"), timeout=120)
    finally:
        ray.shutdown()

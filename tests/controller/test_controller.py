from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from prm_search.budget import Budget, Ledger, Role
from prm_search.controller import run_search
from prm_search.errors import ConfigurationError, DataError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.progress import Totals
from prm_search.protocols import Generator, Grader, Scorer, Until
from prm_search.store import Record, RecordKey, RunStore
from prm_search.tree import Node, SearchTree
from prm_search.types import Candidate, Generation, Problem, SearchResult, SearchStop, Trajectory

PROBLEMS = tuple(Problem(id=f"p{number}", prompt="how many", answer="12") for number in range(20))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A smallest search: some samples, the first one is the best."""

    num_samples: int = 2
    needs_answer: bool = True

    async def __call__(
        self,
        problem: Problem,
        *,
        generator: Generator,
        scorer: Scorer | None,
        grader: Grader,
        budget: Budget,
        seed: int,
    ) -> SearchResult:
        root = Trajectory(problem=problem)
        generation = await generator.generate(
            root, num_samples=self.num_samples, until=Until.END, seed=seed
        )
        ledger = Ledger().charge(Role.POLICY, generation.usage, num_generations=self.num_samples)
        trajectories = [root.extend(*steps) for steps in generation.continuations]
        candidates = [Candidate(trajectory=trajectory) for trajectory in trajectories]
        if scorer is not None:
            scoring = await scorer.score(trajectories)
            ledger = ledger.charge(Role.PRM, scoring.usage)
        return SearchResult(
            problem=problem,
            best=candidates[0] if self.needs_answer else None,
            candidates=tuple(candidates),
            tree=SearchTree(nodes=(Node(id=0, parent=None),)),
            ledger=ledger,
            stop_reason=SearchStop.FINISHED,
            seed=seed,
        )


@dataclass
class Stopper:
    """A display that stops the run after some problems."""

    stop: asyncio.Event
    after: int
    num_updates: int = 0

    def begin(self, method: str, *, num_problems: int, totals: object) -> None:
        pass

    def update(self, totals: object) -> None:
        self.num_updates += 1
        if self.num_updates == self.after:
            self.stop.set()

    def end(self) -> None:
        pass

    def say(self, message: str) -> None:
        pass


async def search(store: RunStore, **more: object) -> Totals:
    settings: dict[str, object] = {
        "algorithm": Sample(),
        "name": "sample",
        "generator": FakeGenerator(latency=0.002),
        "scorer": None,
        "grader": FakeGrader(),
        "retry_seconds": 0.0,
        **more,
    }
    problems = settings.pop("problems", PROBLEMS)
    return await run_search(problems, store=store, **settings)  # type: ignore[arg-type]


def records(directory: Path) -> dict[str, Record]:
    lines = (directory / "records.jsonl").read_text().splitlines()
    found = {row["problem"]: row for row in map(json.loads, lines)}
    assert len(found) == len(lines), "each problem must have one record"
    return found


def results(store: RunStore) -> bytes:
    return store.write_results(RecordKey("sample", item.id, 0) for item in PROBLEMS).read_bytes()


async def test_every_problem_has_one_record_with_grade_cost_and_tree(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        totals = await search(store, scorer=FakeScorer())
    rows = records(tmp_path)
    assert rows.keys() == {item.id for item in PROBLEMS}
    row = rows["p0"]
    assert row["is_correct"] in (True, False)
    assert row["best"] == 0
    assert len(cast("list[object]", row["candidates"])) == 2
    assert SearchTree.from_json(cast("dict[str, object]", row["tree"])).root.id == 0
    usage = cast("dict[str, dict[str, int]]", row["usage"])
    assert usage["policy"]["generated_tokens"] > 0
    assert usage["prm"]["scored_tokens"] > 0
    assert "seconds" not in usage["policy"]
    assert totals.num_problems == 20
    assert totals.num_correct == sum(row["is_correct"] is True for row in rows.values())


async def test_no_more_problems_are_in_flight_than_allowed(tmp_path: Path) -> None:
    class Counting(FakeGenerator):
        now = 0
        most = 0

        async def generate(self, *args: Any, **kwargs: Any) -> Generation:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                return await super().generate(*args, **kwargs)
            finally:
                self.now -= 1

    generator = Counting(latency=0.002)
    with RunStore(tmp_path) as store:
        await search(store, generator=generator, max_in_flight=3)
    assert generator.most == 3


async def test_a_stopped_and_resumed_run_is_byte_identical(tmp_path: Path) -> None:
    with RunStore(tmp_path / "undisturbed") as store:
        await search(store, max_in_flight=4)
        expected = results(store)
    with RunStore(tmp_path / "stopped") as store:
        stop = asyncio.Event()
        stopper = Stopper(stop, after=5)
        await search(store, max_in_flight=4, stop=stop, progress=stopper)
        assert 5 <= len(store) <= 9  # what was in flight has been finished
    with RunStore(tmp_path / "stopped") as store:
        await search(store, generator=FakeGenerator(latency=0.004, latency_seed=7), max_in_flight=7)
        assert results(store) == expected
    records(tmp_path / "stopped")


async def test_a_failing_problem_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    generator = FakeGenerator(failing_problems=frozenset({"p3"}))
    with RunStore(tmp_path) as store:
        totals = await search(store, generator=generator, max_retries=2)
    row = records(tmp_path)["p3"]
    error = cast("dict[str, object]", row["error"])
    assert error["kind"] == "EngineError"
    assert "p3" in str(error["message"])
    assert row["num_attempts"] == 3
    assert row["is_correct"] is None
    assert (totals.num_failed, totals.num_graded) == (1, 19)


async def test_an_engine_failure_is_tried_again(tmp_path: Path) -> None:
    generator = FakeGenerator(failing_calls=frozenset({0, 5}))
    with RunStore(tmp_path) as store:
        totals = await search(store, generator=generator)
    assert totals.num_failed == 0
    assert sum(row["num_attempts"] == 2 for row in records(tmp_path).values()) == 2


async def test_a_prompt_that_is_too_long_is_recorded_as_such_and_not_tried_again(
    tmp_path: Path,
) -> None:
    long = Problem(id="long", prompt="how many " * 50, answer="12")
    generator = FakeGenerator(max_model_len=60)
    with RunStore(tmp_path) as store:
        await search(store, problems=(*PROBLEMS, long), generator=generator)
    row = records(tmp_path)["long"]
    error = cast("dict[str, object]", row["error"])
    assert error["kind"] == "ContextLengthError"
    assert "100 tokens" in str(error["message"])
    assert error["is_transient"] is False
    assert row["num_attempts"] == 1


async def test_failures_of_an_engine_are_done_again_by_the_next_session(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        await search(store, generator=FakeGenerator(failing_problems=frozenset({"p3"})))
    with RunStore(tmp_path) as store:
        totals = await search(store)
    assert totals.num_failed == 0
    assert records(tmp_path)["p3"]["error"] is None


async def test_engine_failures_after_a_stop_are_left_for_the_next_session(tmp_path: Path) -> None:
    stop = asyncio.Event()

    class Dying(FakeGenerator):
        async def generate(self, *args: Any, **kwargs: Any) -> Generation:
            stop.set()  # as Ctrl-C does, which can take the engine along
            return await super().generate(*args, **kwargs)

    with RunStore(tmp_path) as store:
        await search(
            store, generator=Dying(failing_calls=frozenset(range(20))), max_in_flight=1, stop=stop
        )
        assert len(store) == 0


async def test_a_programming_error_in_one_problem_does_not_end_the_run(tmp_path: Path) -> None:
    class Buggy(FakeGrader):
        def extract(self, solution: str) -> str | None:
            if "guess" in solution:
                raise KeyError("bug")
            return super().extract(solution)

    with RunStore(tmp_path) as store:
        totals = await search(store, grader=Buggy())
    assert 0 < totals.num_failed < 20


async def test_answers_that_cannot_be_graded_are_counted_and_neither_right_nor_wrong(
    tmp_path: Path,
) -> None:
    with RunStore(tmp_path) as store:
        totals = await search(store, grader=FakeGrader(ungradable=frozenset({"7"})))
    ungradable = [row for row in records(tmp_path).values() if row["grading_failure"]]
    assert ungradable
    assert all(row["is_correct"] is None and row["error"] is None for row in ungradable)
    assert totals.num_ungradable == len(ungradable)


async def test_problems_without_a_reference_answer_are_not_graded(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        totals = await search(store, problems=(Problem(id="open", prompt="why"),))
    assert records(tmp_path)["open"]["is_correct"] is None
    assert totals.accuracy is None


async def test_no_answer_within_the_budget_is_wrong(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store:
        await search(store, algorithm=Sample(needs_answer=False))
    assert all(row["is_correct"] is False for row in records(tmp_path).values())


async def test_metadata_that_json_does_not_have_is_kept_as_text(tmp_path: Path) -> None:
    metadata = {"level": 3, "path": Path("a/b"), "ratio": float("nan"), "tags": ("x", None)}
    with RunStore(tmp_path) as store:
        await search(store, problems=(Problem(id="a", prompt="", metadata=metadata),))
    assert records(tmp_path)["a"]["metadata"] == {
        "level": 3,
        "path": "a/b",
        "ratio": "nan",
        "tags": ["x", None],
    }


async def test_wall_seconds_add_up_over_sessions(tmp_path: Path) -> None:
    slow = FakeGenerator(latency=0.05)
    with RunStore(tmp_path) as store:
        stop = asyncio.Event()
        await search(
            store, generator=slow, max_in_flight=2, stop=stop, progress=Stopper(stop, after=5)
        )
    with RunStore(tmp_path) as store:
        await search(store, generator=slow, max_in_flight=2)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["num_problems"] < 20 for row in rows] == [True, False]
    assert rows[1]["wall_seconds"] > rows[0]["wall_seconds"]


async def test_two_problems_with_one_id_are_refused(tmp_path: Path) -> None:
    with RunStore(tmp_path) as store, pytest.raises(DataError, match="'p0'"):
        await search(store, problems=(PROBLEMS[0], PROBLEMS[0]))


async def test_an_impossible_configuration_ends_the_run(tmp_path: Path) -> None:
    class Impossible:
        async def __call__(self, problem: Problem, **parts: object) -> SearchResult:
            raise ConfigurationError("this search needs a scorer")

    with RunStore(tmp_path) as store, pytest.raises(ConfigurationError, match="needs a scorer"):
        await search(store, algorithm=Impossible())

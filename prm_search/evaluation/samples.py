"""The samples of a finished best-of-N or majority run, as cases.

So a pool of solutions is sampled once, and any number of PRMs and judges is compared on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError, DataError
from prm_search.evaluation.case import Case, Cases, Truth
from prm_search.evaluation.oracles import first_error_oracle
from prm_search.grading import GraderSettings, MathGrader
from prm_search.store import RECORDS, RESULTS
from prm_search.tree import Node, SearchTree
from prm_search.types import Candidate, Problem, Step, StepScores, StopReason, Trajectory
from prm_search.voting import group_answers

Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """All samples of a search run, with what is known of their answers and steps.

    The run must have drawn them independently: search=majority and search=best_of_n do.
    """

    run_dir: str
    """The directory of the run."""
    method: str | None = None
    """Of which method, if the run has several."""
    num_problems: int | None = None
    """Take the first so many problems; null takes all."""
    num_samples: int | None = None
    """Take the first so many samples of each problem; null takes all."""
    needs_truth: bool = False
    """Refuse problems whose data names nobody who can tell right steps from wrong ones."""

    def __post_init__(self) -> None:
        for name in ("num_problems", "num_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"benchmark.{name} must be at least 1, not {value}")

    async def load(self, grader: GraderSettings) -> Cases:
        """The cases; see `prm_search.evaluation.case.Benchmark`.

        A problem on which the search failed, or that has no reference answer, is left out.
        """
        records = self._records()
        if not records:
            raise DataError(
                f"{self.run_dir}: no problem was searched to its end and has a reference answer"
            )
        math_grader = MathGrader(grader)
        try:
            groups = await gather_all(self._cases(record, math_grader) for record in records)
        finally:
            math_grader.close()
        return Cases(cases=tuple(case for group in groups for case in group))

    def _records(self) -> list[Record]:
        """One record for each problem: that of the lowest seed."""
        found: dict[str, Record] = {}
        methods: dict[str, None] = {}
        for record in _read(Path(self.run_dir).expanduser()):
            methods.setdefault(record["method"])
            if self.method in (None, record["method"]):
                known = found.get(record["problem"])
                if known is None or record["seed"] < known["seed"]:
                    found[record["problem"]] = record
        if self.method is None and len(methods) > 1:
            raise ConfigurationError(
                f"{self.run_dir} has several methods; set benchmark.method to one of "
                f"{', '.join(methods)}"
            )
        if self.method is not None and self.method not in methods:
            raise ConfigurationError(
                f"benchmark.method: {self.run_dir} has no method {self.method!r}; it has "
                f"{', '.join(methods) or 'none'}"
            )
        names = sorted(found, key=lambda name: (len(name), name))
        usable = [
            found[name]
            for name in names
            if found[name]["tree"] is not None and found[name]["reference"] is not None
        ]
        return usable[: self.num_problems]

    async def _cases(self, record: Record, grader: MathGrader) -> list[Case]:
        name: str = record["problem"]
        problem = Problem(id=name, prompt=record["prompt"], answer=record["reference"])
        trajectories = list(islice(_samples(record, problem, self.run_dir), self.num_samples))
        candidates = [Candidate(trajectory=item) for item in trajectories]
        answers: dict[int, str] = {}
        for group in await group_answers(candidates, grader):
            answers |= dict.fromkeys(group.members, group.answer)
        level = record["metadata"].get("level")
        finished = iter(record["candidates"])
        cases: list[Case] = []
        for index, trajectory in enumerate(trajectories):
            candidate = next(finished) if trajectory.steps else None
            if candidate is not None and candidate["num_tokens"] != trajectory.num_tokens:
                raise DataError(f"{self.run_dir}: the tree of {name} is not that of its candidates")
            case = Case(
                id=f"{name}/{index}",
                problem=name,
                subset="all" if level is None else f"level {level}",
                trajectory=trajectory,
                truth=self._truth(record, trajectory),
                answer=answers.get(index),
                is_right=bool(candidate and candidate["is_correct"]),
            )
            scores = candidate and candidate["scores"]
            if scores:
                case = replace(case, scores=StepScores(values=tuple(scores)))
            cases.append(case)
        return cases

    def _truth(self, record: Record, trajectory: Trajectory) -> Truth | None:
        oracle = first_error_oracle(record["metadata"].get("oracle"))
        if oracle is None:
            if self.needs_truth:
                raise ConfigurationError(
                    f"{self.run_dir}: nobody knows which steps of {record['problem']!r} are right; "
                    "use a run on data=sandbox, or benchmark=best_of_n, which does not ask"
                )
            return None
        if not trajectory.steps:
            return None
        return Truth(
            first_error=oracle(record["prompt"], [step.content for step in trajectory.steps])
        )


def _read(folder: Path) -> Iterator[Record]:
    path = next((folder / name for name in (RESULTS, RECORDS) if (folder / name).exists()), None)
    if path is None:
        raise DataError(f"{folder} holds no run: there is neither {RESULTS} nor {RECORDS}")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = cast("Record", json.loads(line))
                if not isinstance(record["candidates"], list):
                    raise TypeError("no candidates")
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}, line {number}: not a record of a search") from error
            yield record


def _samples(record: Record, problem: Problem, run_dir: str) -> Iterator[Trajectory]:
    """The samples, from left to right. One without content has no steps."""
    tree = SearchTree.from_json(record["tree"])
    children: dict[int | None, list[Node]] = {}
    for node in tree.nodes:
        children.setdefault(node.parent, []).append(node)
    for first in children.get(0, []):
        nodes = [first]
        while below := children.get(nodes[-1].id):
            if len(below) > 1:
                raise DataError(
                    f"{run_dir}: the solutions of {problem.id!r} share steps, so they are no "
                    "independent samples; use a run of search=majority or search=best_of_n"
                )
            nodes.append(below[0])
        trajectory = Trajectory(problem=problem)
        if nodes[0].text.strip():
            trajectory = trajectory.extend(*map(_step, nodes))
        yield trajectory


def _step(node: Node) -> Step:
    # The tree keeps no token ids; how many there were is all that is needed.
    return Step(
        text=node.text,
        token_ids=(0,) * node.num_tokens,
        stop_reason=node.stop_reason or StopReason.STEP,
    )

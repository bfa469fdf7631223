"""Runs of best-of-N and of a search by depths, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from prm_search.aggregation import Aggregation
from prm_search.course import Course, Round, Spending
from prm_search.voting import Selection
from tests.reporting.written_runs import record, write_run

RIGHT = "2"
Sample: TypeAlias = tuple[str | None, float | None]
"""Answer and score. The right answer is "2"."""

TOKENS = 10
"""Policy tokens of a sample, and PRM tokens of scoring it."""
PROMPT = 4


def config(search: Mapping[str, object], *, seed: int = 0, **parts: object) -> dict[str, object]:
    return {
        "policy": {"model": "some/policy", "temperature": 1.0},
        "prm": {"model": "some/prm"},
        "search": dict(search),
        "methods": {},
        "seed": seed,
        **parts,
    }


def best_of_n(selection: str, num_samples: int, **settings: object) -> dict[str, object]:
    return {
        "_target_": "prm_search.search.best_of_n.BestOfN",
        "num_samples": num_samples,
        "temperature": None,
        "selection": selection,
        **settings,
    }


BEAM = {"_target_": "prm_search.search.beam.BeamSearch", "num_beams": 4}


def searched(
    problem: str,
    samples: Sequence[Sample],
    *,
    method: str,
    best: str | None,
    seed: int = 0,
    level: int | None = None,
    selection: Selection = Selection.weighted,
    per_round: int = 1,
    rounds_before: int = 0,
) -> dict[str, Any]:
    """A search that draws its samples in rounds.

    Args:
        best: the answer that it has chosen in the end.
        per_round: samples that end in each round.
        rounds_before: rounds of as many tokens in which none ends.
    """
    has_prm = selection is not Selection.majority
    num_rounds = rounds_before + len(samples) // per_round
    cost = Spending(
        num_generations=per_round,
        generated_tokens=TOKENS * per_round,
        scored_tokens=TOKENS * per_round * has_prm,
    )
    rounds = [Round(part=0, num_known=place, cost=cost) for place in range(num_rounds)]
    course = Course(
        selection=selection,
        aggregation=Aggregation.product,
        num_parts=1,
        rounds=tuple(rounds),
        candidate_rounds=tuple(rounds_before + place // per_round for place in range(len(samples))),
    )
    groups: dict[str, int] = {}
    made = record(
        problem,
        method=method,
        seed=seed,
        is_correct=best == RIGHT,
        metadata={} if level is None else {"level": level},
        prompt=f"How many are {problem}?",
    )
    spent = TOKENS * per_round * num_rounds
    usage = {"policy": {"prompt_tokens": PROMPT, "generated_tokens": spent, "num_calls": 1}}
    if has_prm:
        usage["prm"] = {"prompt_tokens": spent, "scored_tokens": spent, "num_calls": 1}
    return {
        **made,
        "answer": best,
        "num_generations": per_round * num_rounds,
        "usage": usage,
        "candidates": [
            {
                "answer": answer,
                "group": None if answer is None else groups.setdefault(answer, len(groups)),
                "is_correct": answer == RIGHT,
                "scores": None if score is None or not has_prm else [score],
                "failure": None,
                "num_tokens": TOKENS,
            }
            for answer, score in samples
        ],
        "course": course.to_json(),
    }


def write(
    directory: Path,
    records: Sequence[Mapping[str, Any]],
    search: Mapping[str, object],
    *,
    seed: int = 0,
    is_finished: bool = True,
    **parts: object,
) -> Path:
    """A run directory of one method. Each took 3 seconds in all."""
    metrics = [{"method": records[0]["method"], "seed": seed, "wall_seconds": 3.0}]
    return write_run(
        directory,
        records,
        metrics=metrics,
        is_finished=is_finished,
        config=config(search, seed=seed, **parts),
    )

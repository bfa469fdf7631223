"""Run directories made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prm_search.store import RecordKey, RunStore
from prm_search.tree import Node, SearchTree
from prm_search.types import StopReason

CONFIG = {
    "policy": {"model": "some/policy"},
    "prm": {"model": "/models/here/prm"},
    "data": {"_target_": "prm_search.data.Gsm8k", "path": None},
}


def tree(*steps: str, score: float | None = 0.5, pruned: Sequence[str] = ()) -> SearchTree:
    """A chosen chain of steps; further first steps are pruned."""
    nodes = [Node(id=0, parent=None)]
    for text in pruned:
        nodes.append(Node(id=len(nodes), parent=0, text=text, score=score, is_kept=False))
    parent = 0
    for text in steps:
        nodes.append(
            Node(
                id=len(nodes),
                parent=parent,
                text=text,
                num_tokens=3,
                stop_reason=StopReason.STEP,
                score=score,
                is_chosen=True,
            )
        )
        parent = len(nodes) - 1
    return SearchTree(nodes=tuple(nodes))


def record(
    problem: str,
    *,
    method: str = "beam",
    seed: int = 0,
    is_correct: bool | None = True,
    prm: Mapping[str, int] | None = None,
    error: str | None = None,
    is_ungradable: bool = False,
    metadata: Mapping[str, object] | None = None,
    prompt: str = "How many?",
    search_tree: SearchTree | None = None,
    elapsed: float = 1.0,
    session: int = 0,
) -> dict[str, Any]:
    """A record as the controller writes it; a problem costs 10 policy tokens."""
    usage: dict[str, Mapping[str, int]] = {}
    if error is None:
        usage["policy"] = {"generated_tokens": 10, "num_calls": 1}
        if prm is not None:
            usage["prm"] = prm
        search_tree = search_tree or tree("One.\n\n", "\\boxed{2}", pruned=["Two."])
    return {
        "method": method,
        "problem": problem,
        "seed": seed,
        "prompt": prompt,
        "reference": "2",
        "metadata": metadata or {},
        "answer": "2",
        "is_correct": None if error else is_correct,
        "grading_failure": {"kind": "GradingError", "message": "no"} if is_ungradable else None,
        "error": error and {"kind": "EngineError", "message": error, "is_transient": False},
        "stop_reason": None if error else "finished",
        "num_attempts": 1,
        "num_generations": 2,
        "usage": usage,
        "best": 0,
        "candidates": [],
        "tree": None if search_tree is None else search_tree.to_json(),
        "timing": {"session": session, "elapsed": elapsed, "wall": elapsed, "roles": {}},
    }


def write_run(
    directory: Path,
    records: Sequence[Mapping[str, Any]],
    *,
    metrics: Sequence[Mapping[str, Any]] = (),
    is_finished: bool = True,
    config: Mapping[str, object] = CONFIG,
) -> Path:
    """A run directory with these records."""
    with RunStore(directory, config=config, seed=0, command="prm-search search") as store:
        for item in records:
            store.append(item)
        for row in metrics:
            store.append_metrics(row)
        if is_finished:
            store.write_results([RecordKey.of(item) for item in records])
    return directory

"""The search trees of a report, as compact values for the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prm_search.reporting.annotators import Annotate, annotator
from prm_search.reporting.run import Outcome, Run, natural
from prm_search.tree import Node, SearchTree

RIGHT = "right"
"""The verdict on a step without an error."""

_KEPT, _CHOSEN = 1, 2


class _Indexed:
    """Texts that are written once and then named by their place."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        return list(self._places)


def choose_problems(outcomes: Iterable[Outcome], max_problems: int) -> list[str]:
    """Problems spread evenly over the levels and the data. [at most max_problems]"""
    levels = {item.problem: item.level or "" for item in outcomes}
    ordered = sorted(levels, key=lambda name: (natural(levels[name]), natural(name)))
    count = min(max_problems, len(ordered))
    return [ordered[index * len(ordered) // count] for index in range(count)]


def tree_payload(
    run: Run, *, annotate: Annotate | None, max_problems: int, max_bytes: int
) -> dict[str, Any]:
    """The trees of some problems, the same for all methods, and all that goes with them.

    The lowest seed of each method and problem is shown. There are fewer problems where the
    trees are large.

    Args:
        annotate: who tells the truth about steps; None asks whom the data names.
        max_bytes: of the payload as JSON.

    Raises:
        ConfigurationError: if the data names an oracle that is not known.
    """
    while True:
        payload = _payload(run, choose_problems(run.outcomes, max_problems), annotate)
        size = len(json.dumps(payload))
        if size <= max_bytes or max_problems <= 1:
            return payload
        max_problems = max(1, min(max_problems, len(payload["problems"])) * max_bytes // size)


def _payload(run: Run, problems: Sequence[str], annotate: Annotate | None) -> dict[str, Any]:
    first: dict[tuple[str, str], Outcome] = {}
    for item in run.outcomes:
        first.setdefault((item.problem, item.method), item)
    texts, verdicts = _Indexed(), _Indexed()
    methods = run.methods
    heads: list[dict[str, Any]] = []
    trees: list[dict[str, Any]] = []
    for place, problem in enumerate(problems):
        outcomes = [first[problem, name] for name in methods if (problem, name) in first]
        heads.append(_head(outcomes[0]))
        truth = _Truth(outcomes[0], annotate)
        for item in outcomes:
            head = {
                "method": methods.index(item.method),
                "problem": place,
                "seed": item.seed,
                "correct": item.is_correct,
                "answer": item.answer,
                "error": item.error,
            }
            tree = run.tree(item)
            trees.append(head if tree is None else head | _nodes(tree, truth, texts, verdicts))
    return {
        "methods": list(methods),
        "problems": heads,
        "trees": trees,
        "texts": texts.texts,
        "verdicts": verdicts.texts,
    }


def _head(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.problem,
        "prompt": outcome.prompt,
        "reference": outcome.reference,
        "level": outcome.level,
    }


def _nodes(
    tree: SearchTree, truth: _Truth, texts: _Indexed, verdicts: _Indexed
) -> dict[str, list[Any] | dict[int, str]]:
    """The nodes by columns. [num_nodes] each, but for the failures, which are few."""
    found = truth.of(tree)
    return {
        "parents": [-1 if node.parent is None else node.parent for node in tree.nodes],
        "texts": [texts(node.text.strip()) for node in tree.nodes],
        "scores": [None if node.score is None else round(node.score, 3) for node in tree.nodes],
        "tokens": [node.num_tokens for node in tree.nodes],
        "states": [_KEPT * node.is_kept + _CHOSEN * node.is_chosen for node in tree.nodes],
        "verdicts": [verdicts(found[node.id]) if node.id in found else None for node in tree.nodes],
        "failures": {node.id: node.failure for node in tree.nodes if node.failure is not None},
    }


class _Truth:
    """Verdicts on the steps of one problem; methods often share solutions, so they are kept."""

    def __init__(self, outcome: Outcome, annotate: Annotate | None) -> None:
        name = outcome.metadata.get("oracle")
        if annotate is None and name is not None:
            annotate = annotator(str(name))
        self._annotate = annotate
        self._prompt = outcome.prompt
        self._known: dict[tuple[str, ...], Sequence[str | None]] = {}

    def of(self, tree: SearchTree) -> Mapping[int, str]:
        """The verdict on each node that has one, by its id."""
        found: dict[int, str] = {}
        for leaf in tree.leaves:
            steps = [node for node in tree.path_to(leaf) if node.text.strip()]
            for node, error in zip(steps, self._errors(steps), strict=False):
                found[node.id] = RIGHT if error is None else str(error)
        return found

    def _errors(self, steps: Sequence[Node]) -> Sequence[str | None]:
        """The errors of a path, or nothing where the annotator cannot tell."""
        texts = tuple(node.text.strip() for node in steps)
        if self._annotate is None or not texts:
            return ()
        if texts not in self._known:
            try:
                self._known[texts] = self._annotate(self._prompt, texts)
            except ValueError:
                self._known[texts] = ()
        return self._known[texts]

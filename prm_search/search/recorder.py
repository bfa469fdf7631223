"""The notes from which the tree of a search is drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prm_search.search.leaf import Path
from prm_search.tree import Node, SearchTree
from prm_search.types import Failure, Step, StepScores, StopReason


@dataclass(kw_only=True, slots=True)
class _Note:
    """What the tree will say about one node."""

    text: str = ""
    num_tokens: int = 0
    stop_reason: StopReason | None = None
    score: float | None = None
    failure: Failure | None = None
    is_kept: bool = True


class Recorder:
    """Notes by path, so that the tree does not depend on what happened first."""

    def __init__(self) -> None:
        self._notes: dict[Path, _Note] = {(): _Note()}

    def add_steps(self, path: Path, steps: Sequence[Step]) -> Path:
        """Note a chain of steps of which the first is at `path`; the path of the last one."""
        for depth, step in enumerate(steps):
            self._notes[path + (0,) * depth] = _Note(
                text=step.text, num_tokens=len(step.token_ids), stop_reason=step.stop_reason
            )
        return path + (0,) * (len(steps) - 1)

    def add_dropped(self, path: Path, steps: Sequence[Step], failure: Failure) -> None:
        """Note a sample that could not be used, as one node."""
        self._notes[path] = _Note(
            text="".join(step.text for step in steps),
            num_tokens=sum(len(step.token_ids) for step in steps),
            stop_reason=steps[-1].stop_reason if steps else None,
            failure=failure,
            is_kept=False,
        )

    def fail(self, path: Path, failure: Failure) -> None:
        """Note that a node could not be scored or continued."""
        self._notes[path].failure = failure

    def score(self, path: Path, scores: StepScores, *, depth: int, num_steps: int) -> None:
        """Note the scores of the nodes on a path below a certain depth.

        Args:
            path: of the last node.
            scores: of the whole trajectory that ends there.
            depth: of the last node that is not to be touched.
            num_steps: of the trajectory down to that node.
        """
        for end in range(depth + 1, len(path) + 1):
            note = self._notes[path[:end]]
            if note.text.strip():  # a step without content was joined to the one before it
                num_steps += 1
            note.score = scores.values[num_steps - 1]

    def prune(self, paths: Sequence[Path], *, keep: Collection[Path]) -> None:
        """Note which nodes survive."""
        for path in paths:
            self._notes[path].is_kept = path in keep

    def frontier(self) -> set[Path]:
        """Nodes that survived and have no children."""
        parents = {path[:-1] for path in self._notes if path}
        return self._kept() - parents

    def tree(self, chosen: Path | None) -> SearchTree:
        """The tree, with the path to `chosen` marked."""
        paths = sorted(self._notes, key=lambda path: (len(path), path))
        ids = {path: index for index, path in enumerate(paths)}
        kept = self._kept()
        return SearchTree(
            nodes=tuple(
                Node(
                    id=ids[path],
                    parent=ids[path[:-1]] if path else None,
                    text=note.text,
                    num_tokens=note.num_tokens,
                    stop_reason=note.stop_reason,
                    score=note.score,
                    failure=_describe(note.failure),
                    is_kept=path in kept,
                    is_chosen=chosen is not None and chosen[: len(path)] == path,
                )
                for path in paths
                for note in (self._notes[path],)
            )
        )

    def _kept(self) -> set[Path]:
        """Nodes that survived; what follows a node that did not is pruned along with it."""
        kept: set[Path] = set()
        for path in sorted(self._notes, key=len):
            if self._notes[path].is_kept and (not path or path[:-1] in kept):
                kept.add(path)
        return kept


def _describe(failure: Failure | None) -> str | None:
    return None if failure is None else f"{failure.kind}: {failure.message}"

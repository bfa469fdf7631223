"""The choice of one candidate among many, by score, by vote, or by both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from prm_search.aggregation import Aggregation, aggregate
from prm_search.errors import GradingError
from prm_search.protocols import Grader
from prm_search.types import Candidate


class Selection(StrEnum):
    """How the best candidate is chosen."""

    argmax = "argmax"
    """The candidate with the highest score."""
    weighted = "weighted"
    """The answer with the highest sum of scores over the candidates that give it.
    Uesato et al., arXiv 2211.14275; Li et al., arXiv 2206.02336."""
    majority = "majority"
    """The answer that most candidates give. Wang et al., arXiv 2203.11171."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerGroup:
    """Candidates that give equivalent answers."""

    answer: str
    """The answer as the first of them gives it."""
    members: tuple[int, ...]
    """Indices of the candidates, rising."""


async def group_answers(candidates: Sequence[Candidate], grader: Grader) -> tuple[AnswerGroup, ...]:
    """The different answers, in the order of their first candidates.

    Candidates without an answer are in no group. Where the grader cannot tell whether two
    answers are the same, they are counted apart: a vote needs no proof of difference.
    """
    answers: list[str] = []
    members: list[list[int]] = []
    known: dict[str, int] = {}
    for index, candidate in enumerate(candidates):
        answer = grader.extract(candidate.trajectory.text)
        if answer is None:
            continue
        if answer not in known:
            known[answer] = await _find(answer, answers, grader)
        group = known[answer]
        if group == len(answers):
            answers.append(answer)
            members.append([])
        members[group].append(index)
    return tuple(
        AnswerGroup(answer=answer, members=tuple(indices))
        for answer, indices in zip(answers, members, strict=True)
    )


async def _find(answer: str, answers: Sequence[str], grader: Grader) -> int:
    for group, other in enumerate(answers):
        try:
            if await grader.equivalent(other, answer):
                return group
        except GradingError:
            continue
    return len(answers)


async def select(
    candidates: Sequence[Candidate],
    *,
    selection: Selection,
    aggregation: Aggregation,
    grader: Grader,
) -> Candidate | None:
    """The best candidate, or None if none can be chosen.

    Ties go to the candidate that comes first. A candidate without scores never wins by score
    and adds nothing to a weighted vote. A candidate without an answer wins only if no other
    candidate can. A vote returns the best-scored (weighted) or first (majority) candidate of
    the answer that wins.
    """
    scores = [
        None if candidate.scores is None else aggregate(candidate.scores, aggregation)
        for candidate in candidates
    ]
    if selection is Selection.argmax:
        texts = [candidate.trajectory.text for candidate in candidates]
        groups = [[i for i, text in enumerate(texts) if grader.extract(text) is not None]]
    else:
        groups = [group.members for group in await group_answers(candidates, grader)]
    best = choose(groups, scores, selection)
    return None if best is None else candidates[best]


def choose(
    groups: Sequence[Sequence[int]], scores: Sequence[float | None], selection: Selection
) -> int | None:
    """The index of the best candidate; see `select`.

    Args:
        groups: indices of the candidates that give the same answer, rising, groups in the order
            of their first candidates. Without those that give none. For `argmax` it is enough to
            have all that give one in one group.
        scores: [num_candidates], None where there is none.
        selection: how to choose.
    """
    match selection:
        case Selection.argmax:
            best = _highest([index for group in groups for index in group], scores)
        case Selection.weighted:
            best = _highest(_heaviest(groups, scores), scores)
        case Selection.majority:
            largest = max(groups, key=len, default=())
            return next(iter(largest), 0 if scores else None)
    return _highest(range(len(scores)), scores) if best is None else best


def _highest(indices: Sequence[int], scores: Sequence[float | None]) -> int | None:
    scored = [(score, -index) for index in indices if (score := scores[index]) is not None]
    return -max(scored)[1] if scored else None


def _heaviest(groups: Sequence[Sequence[int]], scores: Sequence[float | None]) -> Sequence[int]:
    weights = [
        (math.fsum(weight), -place, group)
        for place, group in enumerate(groups)
        if (weight := [score for index in group if (score := scores[index]) is not None])
    ]
    return max(weights)[2] if weights else ()

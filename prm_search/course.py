"""What a search spent round by round, so that it can be cut at any budget afterwards.

    one search: round 0, round 1, … ──cut at a limit──▶ what was spent, and the answer by then

A search looks at its budget before each round of work. So the rounds that it would have begun
under another budget, and with them its answer, are settled by what the rounds cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import accumulate
from typing import Any, TypeAlias

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget, Ledger, Role
from prm_search.errors import DataError
from prm_search.types import Usage
from prm_search.voting import Selection, choose


@dataclass(frozen=True, kw_only=True, slots=True)
class Spending:
    """What was spent, in the units of budgets and of computation."""

    num_generations: int = 0
    """Samples drawn from the policy."""
    generated_tokens: int = 0
    """By the policy."""
    prompt_tokens: int = 0
    """Prompt tokens that the policy computed; cached ones are not among them."""
    scored_tokens: int = 0
    """Tokens that the PRM computed."""

    @classmethod
    def of(cls, ledger: Ledger) -> Spending:
        """What a ledger says."""
        policy = ledger.of(Role.POLICY)
        return cls(
            num_generations=ledger.num_generations,
            generated_tokens=policy.generated_tokens,
            prompt_tokens=policy.prompt_tokens - policy.cached_tokens,
            scored_tokens=ledger.of(Role.PRM).scored_tokens,
        )

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            num_generations=self.num_generations + other.num_generations,
            generated_tokens=self.generated_tokens + other.generated_tokens,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            scored_tokens=self.scored_tokens + other.scored_tokens,
        )


Limit: TypeAlias = Callable[[Spending, int], bool]
"""(what a part of a search has spent, number of parts) -> whether its share is used up.

Once it is, it stays so, whatever more is spent.
"""


def within(budget: Budget) -> Limit:
    """The limit that a budget sets.

    Raises:
        ValueError: if it limits seconds; nothing is known of those.
    """
    if budget.max_seconds is not None:
        raise ValueError("a search cannot be cut afterwards by seconds: they are not recorded")
    return partial(_exhausts, budget)


def _exhausts(budget: Budget, spent: Spending, num_parts: int) -> bool:
    ledger = Ledger(
        usages={
            Role.POLICY: Usage(generated_tokens=spent.generated_tokens),
            Role.PRM: Usage(scored_tokens=spent.scored_tokens),
        },
        num_generations=spent.num_generations,
    )
    return ledger.exhausts(budget.share(num_parts), 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Work that a search did between two looks at its budget."""

    part: int
    """Which part of the search it belongs to; each part has an equal share of the budget."""
    num_known: int
    """How many earlier rounds of the part had ended when it began. Of the others, which were
    going on beside it, only the number of samples counted."""
    cost: Spending
    """Its own, without earlier rounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A search as it would have ended under a limit."""

    best: int | None
    """Index of the candidate; None if no solution had ended, or none could be chosen."""
    num_ended: int
    """Solutions among which it was chosen."""
    spent: Spending
    is_cut: bool
    """Whether it ended before its own end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The rounds of a search, and how it chose among its candidates."""

    selection: Selection
    aggregation: Aggregation
    num_parts: int
    rounds: tuple[Round, ...]
    """By part, each part's in the order of their beginning."""
    candidate_rounds: tuple[int | None, ...]
    """[num_candidates] the round in which each solution ended; None for a prefix, which is a
    candidate only if no solution has ended by the end of the search."""
    preferred: tuple[int, ...] = ()
    """Candidates among which the best is chosen, if one of them can be."""

    def __post_init__(self) -> None:
        parts = [each.part for each in self.rounds]
        if parts != sorted(parts) or (parts and parts[-1] >= self.num_parts):
            raise DataError(f"the rounds of a search must stand by part, and do not: {parts}")
        if any(each.num_known > place for place, each in enumerate(self.rounds)):
            raise DataError("a round of a search can only know rounds that began earlier")
        if any(each is not None and each >= len(parts) for each in self.candidate_rounds):
            raise DataError(f"a candidate is from a round beyond the {len(parts)} that there are")

    def cuts(
        self,
        limits: Sequence[Limit],
        *,
        groups: Sequence[int | None],
        scores: Sequence[float | None],
    ) -> list[Cut]:
        """The search as it would have ended under each of some limits.

        That is what it really would have done: the samples of a round do not depend on the
        budget. Two things are beyond it. A search that is cut before any solution has ended has
        no answer here, while in truth its best prefix might contain one. And candidates are put
        into groups once, while answers that are equivalent to one of a group but not to another
        may be grouped differently if candidates are missing.

        Args:
            limits: each looked at before a round begins; the round in progress is finished.
            groups: [num_candidates] which candidates give the same answer, numbered in the order
                of their first ones; None where there is no answer.
            scores: [num_candidates] after aggregation; None where there is none.
        """
        parts = [
            [place for place, each in enumerate(self.rounds) if each.part == part]
            for part in range(self.num_parts)
        ]
        spent = [_spent_before(tuple(self.rounds[place] for place in part)) for part in parts]
        known: dict[tuple[int, ...], Cut] = {}
        found: list[Cut] = []
        for limit in limits:
            is_used_up = partial(_is_used_up, limit, self.num_parts)
            lengths = tuple(bisect_left(before, True, key=is_used_up) for before in spent)
            if lengths not in known:
                begun = [
                    place
                    for part, length in zip(parts, lengths, strict=True)
                    for place in part[:length]
                ]
                known[lengths] = self._cut(begun, groups, scores)
            found.append(known[lengths])
        return found

    def _cut(
        self, begun: Sequence[int], groups: Sequence[int | None], scores: Sequence[float | None]
    ) -> Cut:
        is_cut = len(begun) < len(self.rounds)
        there = set(begun)
        ended = [
            index
            for index, each in enumerate(self.candidate_rounds)
            if (not is_cut if each is None else each in there)
        ]
        best = self._choose([index for index in ended if index in self.preferred], groups, scores)
        if best is None:
            best = self._choose(ended, groups, scores)
        spent = sum((self.rounds[place].cost for place in begun), Spending())
        return Cut(best=best, num_ended=len(ended), spent=spent, is_cut=is_cut)

    def _choose(
        self, pool: Sequence[int], groups: Sequence[int | None], scores: Sequence[float | None]
    ) -> int | None:
        members: dict[int, list[int]] = {}
        for place, index in enumerate(pool):
            group = groups[index]
            if group is not None:
                members.setdefault(group, []).append(place)
        best = choose(list(members.values()), [scores[index] for index in pool], self.selection)
        return None if best is None else pool[best]

    def to_json(self) -> dict[str, Any]:
        """The course as plain dicts and lists, for `json.dumps`; rounds by columns."""
        columns = {name: [getattr(each.cost, name) for each in self.rounds] for name in _COSTS}
        return {
            "selection": str(self.selection),
            "aggregation": str(self.aggregation),
            "num_parts": self.num_parts,
            "rounds": {
                "part": [each.part for each in self.rounds],
                "num_known": [each.num_known for each in self.rounds],
                **columns,
            },
            "candidate_rounds": list(self.candidate_rounds),
            "preferred": list(self.preferred),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Course:
        """The course that `to_json` wrote.

        Raises:
            DataError: if the data is no course of a search.
        """
        try:
            rounds = data["rounds"]
            costs = zip(*(rounds[name] for name in _COSTS), strict=True)
            return cls(
                selection=Selection(data["selection"]),
                aggregation=Aggregation(data["aggregation"]),
                num_parts=data["num_parts"],
                rounds=tuple(
                    Round(
                        part=part,
                        num_known=num_known,
                        cost=Spending(**dict(zip(_COSTS, cost, strict=True))),
                    )
                    for part, num_known, cost in zip(
                        rounds["part"], rounds["num_known"], costs, strict=True
                    )
                ),
                candidate_rounds=tuple(data["candidate_rounds"]),
                preferred=tuple(data["preferred"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the course of a search cannot be read: {error!r}") from error


_COSTS = tuple(item.name for item in fields(Spending))


def _spent_before(rounds: Sequence[Round]) -> list[Spending]:
    """What a part had spent, as far as it was known, when each of its rounds began."""
    sums = list(accumulate((each.cost for each in rounds), initial=Spending()))
    return [
        replace(sums[each.num_known], num_generations=sums[place].num_generations)
        for place, each in enumerate(rounds)
    ]


def _is_used_up(limit: Limit, num_parts: int, spent: Spending) -> bool:
    return limit(spent, num_parts)

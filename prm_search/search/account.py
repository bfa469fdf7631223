"""What a search may spend, and what it has spent, round by round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget, Ledger, Role
from prm_search.course import Course, Round, Spending
from prm_search.types import SearchStop, Usage
from prm_search.voting import Selection


@dataclass(kw_only=True, slots=True, eq=False)
class RoundNote:
    """What is known of a round; more is charged to it as long as it goes on."""

    num_known: int
    """How many earlier rounds of its part had ended when it began."""
    ledger: Ledger = field(default_factory=Ledger)


class Account:
    """Budget and ledger of a search, of a part of it, or of one round."""

    def __init__(self, budget: Budget) -> None:
        self.ledger = Ledger()
        self.stop_reason = SearchStop.FINISHED
        self._budget = budget
        self._began = time.monotonic()
        self._rounds: list[RoundNote] = []
        self._parts = [self._rounds]
        self._round: RoundNote | None = None

    def fork_part(self, budget: Budget) -> Account:
        """That of a part of the search which has a budget of its own."""
        fork = self._fork(budget)
        fork._rounds = []
        self._parts.append(fork._rounds)
        return fork

    def fork_round(self, *, num_known: int) -> Account:
        """That of a round which goes on beside others; see `Exploration.fork_round`."""
        fork = self._fork(UNLIMITED)
        fork._rounds = self._rounds
        fork._begin(num_known)
        return fork

    def join(self, fork: Account) -> None:
        """Take over what a fork has spent, and whether its budget stopped it."""
        self.ledger = self.ledger + fork.ledger
        if fork.stop_reason is SearchStop.BUDGET:
            self.stop_reason = SearchStop.BUDGET

    def may_go_on(self, *, num_begun: int = 0) -> bool:
        """Whether the budget allows another round; see `Exploration.may_go_on`."""
        spent = replace(self.ledger, num_generations=self.ledger.num_generations + num_begun)
        if spent.exhausts(self._budget, time.monotonic() - self._began):
            self.stop_reason = SearchStop.BUDGET
            return False
        self._round = None
        return True

    def round(self) -> RoundNote:
        """The round in progress. If there is none, it begins."""
        return self._round or self._begin(len(self._rounds))

    def charge(self, role: Role, usage: Usage, *, num_generations: int = 0) -> None:
        """Note what the round in progress spends."""
        self.ledger = self.ledger.charge(role, usage, num_generations=num_generations)
        note = self.round()
        note.ledger = note.ledger.charge(role, usage, num_generations=num_generations)

    def charge_outside(self, role: Role, usage: Usage) -> None:
        """Note what is spent between rounds."""
        self.ledger = self.ledger.charge(role, usage)

    def course(
        self,
        *,
        selection: Selection,
        aggregation: Aggregation,
        candidate_rounds: Sequence[RoundNote | None],
        preferred: Sequence[int],
    ) -> Course:
        """What there is to know in order to cut the search afterwards; see `Course`."""
        # A search whose parts have budgets of their own does nothing outside of them.
        parts = [rounds for rounds in self._parts if rounds]
        notes = [(part, note) for part, rounds in enumerate(parts) for note in rounds]
        places = {id(note): place for place, (_, note) in enumerate(notes)}
        return Course(
            selection=selection,
            aggregation=aggregation,
            num_parts=len(parts),
            rounds=tuple(
                Round(part=part, num_known=note.num_known, cost=Spending.of(note.ledger))
                for part, note in notes
            ),
            candidate_rounds=tuple(note and places[id(note)] for note in candidate_rounds),
            preferred=tuple(preferred),
        )

    def _fork(self, budget: Budget) -> Account:
        fork = Account(budget)
        fork._began = self._began
        fork._parts = self._parts
        return fork

    def _begin(self, num_known: int) -> RoundNote:
        self._round = RoundNote(num_known=num_known)
        self._rounds.append(self._round)
        return self._round

"""Asks a PRM or a judge about many cases at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prm_search.errors import EmptyStepError, ScoringError
from prm_search.evaluation.case import Case
from prm_search.evaluation.records import EvaluationTotals, record_of
from prm_search.evaluation.result import CaseResult
from prm_search.progress import ProgressDisplay
from prm_search.protocols import Judge, Scorer
from prm_search.seeds import derive_seed
from prm_search.store import Record, RunStore
from prm_search.types import Failure, Problem
from prm_search.worklist import Attempt, work_off


async def evaluate(
    cases: Sequence[Case],
    *,
    subject: str,
    scorer: Scorer | None,
    judge: Judge | None,
    num_votes: int = 1,
    store: RunStore,
    seed: int = 0,
    max_in_flight: int = 256,
    max_retries: int = 2,
    retry_seconds: float = 1.0,
    progress: ProgressDisplay | None = None,
    stop: asyncio.Event | None = None,
) -> EvaluationTotals:
    """Ask about all cases that the store has no record of, and record each as it is answered.

    See `prm_search.worklist.work_off` for what is not said here.

    Args:
        subject: who is asked, in the records.
        scorer: a PRM. With neither PRM nor judge, the scores that the cases came with are taken.
        judge: a judge, if there is no PRM.
        num_votes: critiques that a judge writes about each case, at least 1.
    """
    work = _Evaluation(
        cases={case.id: case for case in cases},
        subject=subject,
        scorer=scorer,
        judge=judge,
        num_votes=num_votes,
        seed=seed,
    )
    return await work_off(
        [Problem(id=case.id, prompt=case.trajectory.problem.prompt) for case in cases],
        work,
        name=subject,
        seed=seed,
        totals=EvaluationTotals(),
        store=store,
        max_in_flight=max_in_flight,
        max_retries=max_retries,
        retry_seconds=retry_seconds,
        progress=progress,
        stop=stop,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Evaluation:
    cases: Mapping[str, Case]
    subject: str
    scorer: Scorer | None
    judge: Judge | None
    num_votes: int
    seed: int

    async def record(self, problem: Problem, attempt: Attempt) -> Record:
        case = self.cases[problem.id]
        return record_of(
            await self._ask(case),
            subject=self.subject,
            seed=self.seed,
            num_attempts=attempt.number,
            timing=attempt.timing(),
        )

    def record_of_failure(self, problem: Problem, error: Exception, attempt: Attempt) -> Record:
        return record_of(
            self._result(self.cases[problem.id]),
            subject=self.subject,
            seed=self.seed,
            num_attempts=attempt.number,
            timing=attempt.timing(),
            error=error,
        )

    async def _ask(self, case: Case) -> CaseResult:
        if not case.trajectory.steps:
            failure = Failure.of(EmptyStepError("the policy wrote nothing"))
            return self._result(case, failure=failure)
        if self.scorer is not None:
            scoring = await self.scorer.score([case.trajectory])
            (scores,) = scoring.scores
            if isinstance(scores, Failure):
                return self._result(case, failure=scores, usage=scoring.usage)
            if len(scores.values) != len(case.trajectory.steps):
                raise ScoringError(
                    f"the PRM gave {len(scores.values)} scores for the "
                    f"{len(case.trajectory.steps)} steps of {case.id}"
                )
            return self._result(case, scores=scores, usage=scoring.usage)
        if self.judge is not None:
            judgement = await self.judge.judge(
                case.trajectory, num_votes=self.num_votes, seed=derive_seed(self.seed, case.id)
            )
            return self._result(case, verdicts=judgement.verdicts, usage=judgement.usage)
        if case.scores is None:
            failure = Failure.of(ScoringError("the run that this sample is from did not score it"))
            return self._result(case, failure=failure)
        return self._result(case, scores=case.scores)

    @staticmethod
    def _result(case: Case, **said: object) -> CaseResult:
        return CaseResult(
            case=case,
            num_steps=len(case.trajectory.steps),
            num_tokens=case.trajectory.num_tokens,
            **said,  # pyright: ignore[reportArgumentType]
        )

"""What a reader of a comparison must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prm_search.comparison.advice import Candidate
from prm_search.comparison.majority import Baseline
from prm_search.comparison.measures import flops

FEW_PROBLEMS = 30
_MEASURES = {"policy_tokens": "policy tokens", "flops": "FLOPs"}


def notes(
    candidates: Sequence[Candidate],
    problems: Sequence[str],
    baselines: Mapping[str, Baseline | None],
) -> Iterator[str]:
    """A sentence or two for everything that limits what the numbers say.

    Args:
        candidates: all methods, with their curves in each unit of cost.
        problems: those that are compared.
        baselines: by policy.
    """
    arms = list({each.arm.name: each.arm for each in candidates}.values())
    if len(problems) < FEW_PROBLEMS:
        yield (
            f"With {len(problems)} problems, intervals by a bootstrap are too narrow; search more."
        )
    num_left_out = len({each.problem for arm in arms for each in arm.searches}) - len(problems)
    if num_left_out:
        yield (
            f"Only the {len(problems)} problems that all methods have been run on are compared; "
            f"{num_left_out} others are left out."
        )
    unfinished = [arm.name for arm in arms if arm.num_unfinished]
    if unfinished:
        yield f"Not all runs have come to their end: {', '.join(unfinished)}."
    if len({arm.seeds for arm in arms}) > 1:
        seeds = [f"{arm.name} {', '.join(map(str, arm.seeds))}" for arm in arms]
        yield f"Not all methods were run with the same seeds: {'; '.join(seeds)}."
    repeated = [f"{arm.name} ({arm.num_repeated})" for arm in arms if arm.num_repeated]
    if repeated:
        yield (
            "Searches that were made again beside another PRM, which they do not use, are left "
            f"out: {', '.join(repeated)}."
        )
    old = [
        arm.name
        for arm in arms
        if any(each.course is None and not each.is_failed for each in arm.searches)
    ]
    if old:
        yield (
            f"There is no curve of {', '.join(old)}: the runs do not say what each round of a "
            "search cost. They were made by an earlier version; run them again to have one."
        )
    yield from _of_majority(candidates, baselines)
    unknown = [arm.name for arm in arms if flops(arm.parameters) is None]
    if unknown:
        yield (
            f"FLOPs are not known where the size of a model is not: {', '.join(unknown)}. Give "
            "--policy-parameters and --prm-parameters."
        )


def _of_majority(
    candidates: Sequence[Candidate], baselines: Mapping[str, Baseline | None]
) -> Iterator[str]:
    names = {each.arm.name: each.arm.policy for each in candidates}
    without = [name for name, policy in names.items() if baselines[policy] is None]
    if without:
        yield (
            "There is no majority vote to compare with: no run has drawn several independent "
            f"samples with the policy's settings of {', '.join(without)}. Add a run of "
            "search=majority."
        )
    for baseline in baselines.values():
        if baseline is not None and not baseline.is_majority:
            sources = ", ".join(arm.name for arm in baseline.arms)
            yield f"Majority votes are taken among the samples of {sources}."
    short = [
        f"{each.arm.name} on {point.share_beyond_pool:.0%} ({_MEASURES[each.curve.measure]})"
        for each in candidates
        if each.curve.points and not each.arm.is_majority
        if (point := each.curve.points[-1]).share_beyond_pool > 0
    ]
    if short:
        yield (
            "Majority vote cost less than the search, because there are no more samples, against "
            f"{'; '.join(short)} of the problems. A majority vote with a larger "
            "search.num_samples would tell more."
        )

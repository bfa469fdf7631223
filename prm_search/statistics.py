"""How sure a number is: intervals, paired differences, and pass@k and maj@k from one pool.

Outcomes are keyed by problem and seed. Several seeds of one problem are not independent of each
other, so whole problems are resampled, never single outcomes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Outcomes: TypeAlias = Mapping[tuple[str, int], bool]
"""(problem id, seed) -> whether the answer was right. Unknown outcomes are left out."""

NUM_RESAMPLES = 10_000
_RESAMPLES_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number and the interval it is believed to lie in."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> list[float]:
        """Both ends, [low, high], as JSON wants them."""
        return [self.low, self.high]


def wilson(num_right: int, num_total: int, *, confidence: float = 0.95) -> Estimate:
    """A proportion with its score interval (Wilson 1927, JASA 22:209-212).

    Args:
        num_right: in [0, num_total].
        num_total: at least 1.
        confidence: in (0, 1).

    Raises:
        ValueError: if an argument is out of its range.
    """
    if not 0 <= num_right <= num_total or num_total == 0:
        raise ValueError(f"{num_right} right of {num_total} is not a proportion")
    z = NormalDist().inv_cdf(0.5 + _checked(confidence) / 2)
    share = num_right / num_total
    scale = 1 / (1 + z * z / num_total)
    center = scale * (share + z * z / (2 * num_total))
    spread = share * (1 - share) / num_total + z * z / (4 * num_total * num_total)
    half = scale * z * math.sqrt(spread)
    # At 0 and 1 one end is exactly the share; rounding must not carry it off.
    low = center - half if num_right else 0.0
    high = center + half if num_right < num_total else 1.0
    return Estimate(value=share, low=low, high=high)


def accuracy(
    outcomes: Outcomes,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """Accuracy with its interval; every problem weighs the same, however many seeds it has.

    With one outcome per problem this is the Wilson interval. With several it is the bootstrap
    over problems, or, where that has no spread (every problem equally often right), the Wilson
    interval of the number of problems.

    Args:
        confidence: in (0, 1).
        seed: of the bootstrap.

    Raises:
        ValueError: if there are no outcomes.
    """
    problems = _by_problem(outcomes)
    shares = np.array([_share(seeds) for seeds in problems.values()])
    if all(len(seeds) == 1 for seeds in problems.values()):
        return wilson(int(shares.sum()), len(shares), confidence=confidence)
    if np.ptp(shares) > 0:
        return bootstrap(shares, confidence=confidence, seed=seed, num_resamples=num_resamples)
    share = float(shares[0])
    bounds = wilson(round(share * len(shares)), len(shares), confidence=confidence)
    return Estimate(value=share, low=min(share, bounds.low), high=max(share, bounds.high))


def paired_difference(
    first: Outcomes,
    second: Outcomes,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """Accuracy of the first method minus that of the second, on what both have done.

    Only outcomes of the same problem and seed are compared; each problem weighs the same, and
    problems are resampled whole.

    Args:
        confidence: in (0, 1).
        seed: of the bootstrap.

    Raises:
        ValueError: if the methods have no problem and seed in common.
    """
    common = first.keys() & second.keys()
    if not common:
        raise ValueError("the two methods have no problem and seed in common")
    firsts = _by_problem({key: first[key] for key in common})
    seconds = _by_problem({key: second[key] for key in common})
    differences = [_share(firsts[problem]) - _share(seconds[problem]) for problem in firsts]
    return bootstrap(differences, confidence=confidence, seed=seed, num_resamples=num_resamples)


def sign_flip_p_value(first: Outcomes, second: Outcomes) -> float:
    """How probable so large a difference is if the two methods are equally good (two-sided).

    Exact randomisation test: under that hypothesis each problem's difference might as well have
    the other sign. With one seed it is the exact test of McNemar (1947, Psychometrika 12:153-157);
    several seeds of a problem are one difference. Only outcomes of the same problem and seed
    are compared.

    Raises:
        ValueError: if the methods have no problem and seed in common.
    """
    common = first.keys() & second.keys()
    if not common:
        raise ValueError("the two methods have no problem and seed in common")
    seeds: dict[str, list[int]] = defaultdict(list)
    for key in common:
        seeds[key[0]].append(int(first[key]) - int(second[key]))
    scale = math.lcm(*map(len, seeds.values()))
    sizes = [abs(sum(gaps)) * (scale // len(gaps)) for gaps in seeds.values()]
    observed = abs(sum(sum(gaps) * (scale // len(gaps)) for gaps in seeds.values()))
    step = math.gcd(*sizes) or 1
    sizes = [size // step for size in sizes if size]
    reach = sum(sizes)
    chances = np.zeros(2 * reach + 1)  # of each sum from -reach to reach
    chances[reach] = 1.0
    for size in sizes:
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chances[sums >= observed // step].sum()))


def bootstrap(
    values: Sequence[float] | NDArray[np.float64],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """The mean with its percentile bootstrap interval (Efron 1979, Ann. Stat. 7:1-26).

    Args:
        values: [num_clusters] one number for each independent unit.
        confidence: in (0, 1).
        seed: the same seed and values give the same interval.

    Raises:
        ValueError: if there are no values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        raise ValueError("there are no outcomes to estimate from")
    rng = np.random.default_rng(seed)
    means = np.empty(num_resamples)
    for start in range(0, num_resamples, _RESAMPLES_AT_ONCE):  # bounds the memory
        size = min(_RESAMPLES_AT_ONCE, num_resamples - start)
        drawn = rng.integers(len(numbers), size=(size, len(numbers)))
        means[start : start + size] = numbers[drawn].mean(axis=1)
    return percentile_interval(float(numbers.mean()), means, confidence=confidence)


def resample_sums(
    counts: NDArray[np.float64], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> NDArray[np.float64]:
    """Sums over clusters that are drawn with replacement, for the bootstrap of any ratio of sums.

    Args:
        counts: [num_clusters, num_counts] what each independent unit adds to each sum.
        seed: the same seed and counts give the same sums.

    Returns:
        [num_resamples, num_counts]

    Raises:
        ValueError: if there are no clusters.
    """
    num_clusters = len(counts)
    if num_clusters == 0:
        raise ValueError("there are no outcomes to estimate from")
    rng = np.random.default_rng(seed)
    sums = np.empty((num_resamples, counts.shape[1]))
    for start in range(0, num_resamples, _RESAMPLES_AT_ONCE):  # bounds the memory
        size = min(_RESAMPLES_AT_ONCE, num_resamples - start)
        drawn = rng.integers(num_clusters, size=(size, num_clusters))
        places = drawn + num_clusters * np.arange(size)[:, None]
        weights = np.bincount(places.ravel(), minlength=size * num_clusters)
        sums[start : start + size] = weights.reshape(size, num_clusters) @ counts
    return sums


def percentile_interval(
    value: float, samples: NDArray[np.float64], *, confidence: float = 0.95
) -> Estimate:
    """A value with the percentile interval of its bootstrap samples.

    Args:
        value: the statistic of the data itself.
        samples: [num_resamples] the statistic of each resample; NaN where it is not defined.
        confidence: in (0, 1).
    """
    tail = (1 - _checked(confidence)) / 2
    known = samples[~np.isnan(samples)]
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (value, value)
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def pass_at_k(num_samples: int, num_right: int, k: int) -> float:
    """P(at least one of k samples is right), unbiased (arXiv 2107.03374, equation 1).

    Args:
        num_samples: samples drawn for one problem.
        num_right: how many of them are right, in [0, num_samples].
        k: in [1, num_samples].

    Raises:
        ValueError: if an argument is out of its range.
    """
    if not 0 <= num_right <= num_samples:
        raise ValueError(f"{num_right} of {num_samples} samples cannot be right")
    if not 1 <= k <= num_samples:
        raise ValueError(f"k must be in [1, {num_samples}], not {k}")
    return 1 - math.comb(num_samples - num_right, k) / math.comb(num_samples, k)


def majority_at_k(
    classes: Sequence[int | None],
    right: int | None,
    sizes: Sequence[int],
    *,
    seed: int = 0,
    num_orders: int = 1_000,
) -> list[float]:
    """P(the most frequent answer of k samples is right), for each k, from one pool of samples.

    The pool is put into random orders; the first k of each order are one draw. So the draws of
    a smaller k lie within those of a larger one, and the curve over k is smooth. Ties go to the
    answer that comes first.

    Args:
        classes: [num_samples] class of equivalent answers of each sample; None has no answer
            and does not vote.
        right: the class of right answers; None if no sample is right.
        sizes: each k in [1, num_samples].
        seed: the same seed gives the same orders.
        num_orders: at least 1.

    Returns:
        [num_sizes]

    Raises:
        ValueError: if a k is out of its range.
    """
    for k in sizes:
        if not 1 <= k <= len(classes):
            raise ValueError(f"k must be in [1, {len(classes)}], not {k}")
    rng = np.random.default_rng(seed)
    num_samples, every = len(classes), np.arange(num_orders)
    numbers: dict[int | None, int] = {None: 0}  # 0 stands for no answer, which no vote raises
    for voted in classes:
        numbers.setdefault(voted, len(numbers))
    orders = np.array([rng.permutation(num_samples) for _ in range(num_orders)])
    drawn = np.array([numbers[voted] for voted in classes])[orders]  # [num_orders, num_samples]
    # A vote outweighs any place of a first vote, and an earlier first vote a later one. A vote
    # raises its own answer alone, so then that one is ahead, or the one that was ahead before.
    standing = np.zeros((num_orders, len(numbers)), dtype=np.int64)
    ahead = np.zeros(num_orders, dtype=np.int64)
    wins: list[int] = []
    for position, voted in enumerate(drawn.T):
        is_first = standing[every, voted] == 0
        gain = np.where(is_first, num_samples - position, num_samples + 1)
        standing[every, voted] += gain * (voted > 0)
        ahead = np.where(standing[every, voted] > standing[every, ahead], voted, ahead)
        wins.append(0 if right is None else int(np.sum(ahead == numbers.get(right, -1))))
    return [wins[k - 1] / num_orders for k in sizes]


def _by_problem(outcomes: Outcomes) -> dict[str, dict[int, bool]]:
    """Outcomes of each problem by seed, sorted, so that no result depends on finishing order."""
    problems: dict[str, dict[int, bool]] = defaultdict(dict)
    for (problem, seed), is_right in sorted(outcomes.items()):
        problems[problem][seed] = is_right
    if not problems:
        raise ValueError("there are no outcomes to estimate from")
    return problems


def _share(seeds: Mapping[int, bool]) -> float:
    return sum(seeds.values()) / len(seeds)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), not {confidence}")
    return confidence

"""What a search costs, in the units that methods are compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from prm_search.budget import Role
from prm_search.course import Limit, Spending

FLOPS_RULE = (
    "FLOPs: 2 for each parameter and each token that a model computed (prompt tokens that were "
    "not cached, and generated ones), policy and PRM together. arXiv 2001.08361, section 2.1, "
    "with all parameters, and without the part of attention that grows with the context."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A unit of cost that a search can be cut at."""

    name: str
    label: str
    cost: Callable[[Spending], float]

    def limit(self, most: float) -> Limit:
        """The limit that ends a search which has spent so much."""
        return partial(_is_spent, self.cost, most)


def _is_spent(
    cost: Callable[[Spending], float], most: float, spent: Spending, num_parts: int
) -> bool:
    return cost(spent) >= most / num_parts


POLICY_TOKENS = Measure(
    name="policy_tokens",
    label="policy tokens per problem",
    cost=lambda spent: spent.generated_tokens,
)


def flops(parameters: Mapping[Role, int | None]) -> Measure | None:
    """Floating-point operations of policy and PRM; None if a model's size is not known.

    Args:
        parameters: of each model that was made use of.
    """
    sizes = {role: size for role, size in parameters.items() if size is not None}
    if len(sizes) < len(parameters):
        return None
    policy, prm = sizes.get(Role.POLICY, 0), sizes.get(Role.PRM, 0)

    def cost(spent: Spending) -> float:
        generating = policy * (spent.prompt_tokens + spent.generated_tokens)
        return 2.0 * (generating + prm * spent.scored_tokens)

    return Measure(name="flops", label="FLOPs per problem, policy and PRM", cost=cost)

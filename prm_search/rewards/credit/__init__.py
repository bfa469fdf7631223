"""Credit: from the rewards of a group of rollouts to advantages of steps and tokens.

One rule, one file. A rule gives the process part; `GroupCredit` adds the outcome and keeps
failures apart.
"""

from __future__ import annotations

from prm_search.rewards.credit.centering import OutcomeCentering
from prm_search.rewards.credit.clip import Clip
from prm_search.rewards.credit.delta import Delta
from prm_search.rewards.credit.group import Advantages, Credit, GroupCredit, OutcomeBaseline
from prm_search.rewards.credit.last import Last
from prm_search.rewards.credit.mean import Mean
from prm_search.rewards.credit.minimum import Minimum
from prm_search.rewards.credit.process_grpo import ProcessGRPO
from prm_search.rewards.credit.product import Product
from prm_search.rewards.credit.progress import Progress
from prm_search.rewards.credit.rule import Rated, ReturnRule, Rule
from prm_search.rewards.credit.soft_minimum import SoftMinimum
from prm_search.rewards.credit.sum import Sum
from prm_search.rewards.credit.tokens import pad, spread_over_sizes, spread_over_spans

__all__ = [
    "Advantages",
    "Clip",
    "Credit",
    "Delta",
    "GroupCredit",
    "Last",
    "Mean",
    "Minimum",
    "OutcomeBaseline",
    "OutcomeCentering",
    "ProcessGRPO",
    "Product",
    "Progress",
    "Rated",
    "ReturnRule",
    "Rule",
    "SoftMinimum",
    "Sum",
    "pad",
    "spread_over_sizes",
    "spread_over_spans",
]

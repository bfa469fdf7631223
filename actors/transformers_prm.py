"""The scorer that transformers has for a PRM."""

from __future__ import annotations

from actors.transformers_generative_scorer import TransformersGenerativeScorer
from actors.transformers_options import TransformersOptions
from actors.transformers_scorer import TransformersScorer
from prm_search.prms.generative_prm import GenerativePrm
from prm_search.prms.prm import Prm


def scorer_of(
    *, prm: Prm | GenerativePrm, options: TransformersOptions | None = None
) -> TransformersScorer | TransformersGenerativeScorer:
    """One that reads scores, or one that reads verdicts in what the PRM writes."""
    if isinstance(prm, GenerativePrm):
        return TransformersGenerativeScorer(prm=prm, options=options)
    return TransformersScorer(prm=prm, options=options)

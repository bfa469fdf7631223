"""The scorer that vLLM has for a PRM."""

from __future__ import annotations

from actors.vllm_generative_scorer import VllmGenerativeScorer
from actors.vllm_options import VllmOptions
from actors.vllm_scorer import VllmScorer
from prm_search.prms.generative_prm import GenerativePrm
from prm_search.prms.prm import Prm


def scorer_of(
    *, prm: Prm | GenerativePrm, options: VllmOptions | None = None
) -> VllmScorer | VllmGenerativeScorer:
    """One that reads scores, or one that reads verdicts in what the PRM writes."""
    if isinstance(prm, GenerativePrm):
        return VllmGenerativeScorer(prm=prm, options=options)
    return VllmScorer(prm=prm, options=options)

"""Which engine runs the PRM is an option of its own."""

from __future__ import annotations

import pytest

from prm_search.composition import compose, options
from prm_search.engines import EngineFactory
from prm_search.job import search_job

ROLES = ["policy=default", "policy.model=m", "cluster=inprocess", "data=sandbox", "search=beam"]


@pytest.mark.parametrize(
    ("engines", "generator", "scorer"),
    [
        (["engine=vllm"], "vllm_generator", "vllm_prm"),
        (["engine=vllm", "engine/scorer=transformers"], "vllm_generator", "transformers_prm"),
        (["engine=transformers"], "transformers_generator", "transformers_prm"),
        (["engine=transformers", "engine/scorer=vllm"], "transformers_generator", "vllm_prm"),
        (["engine=openai"], "openai_generator", "vllm_prm"),
    ],
)
def test_a_prm_may_run_on_another_engine(engines, generator, scorer) -> None:
    config = compose("search", [*ROLES, "prm=skywork_o1_7b", *engines])
    engine = search_job(config, name="beam").engine

    assert isinstance(engine.generator, EngineFactory)
    assert isinstance(engine.scorer, EngineFactory)
    assert engine.generator.target.startswith(f"actors.{generator}.")
    assert engine.scorer.target == f"actors.{scorer}.scorer_of"
    kind = scorer.partition("_")[0]
    assert type(engine.scorer.arguments["options"]).__module__ == f"actors.{kind}_options"


@pytest.mark.parametrize("prm", [name for name in options()["prm"] if name != "sandbox"])
def test_every_named_prm_is_built(prm: str) -> None:
    settings = ["prm.model=somewhere", "search.aggregation=last"]  # the only one of reward models
    config = compose("search", [*ROLES, f"prm={prm}", *settings])
    assert search_job(config, name="beam").engine.scorer is not None

"""A generative PRM is chosen like any other, and brings its scorer with it."""

from __future__ import annotations

import pickle

import pytest

from prm_search.composition import compose
from prm_search.engines import EngineFactory
from prm_search.errors import ConfigurationError
from prm_search.evaluation.job import EvaluationJob, evaluation_job
from prm_search.prms.generative_prm import Combination, GenerativePrm
from prm_search.prms.rprm import RPrm
from prm_search.prms.sandbox_rprm import SandboxRPrm

BASE = ["benchmark=sandbox", "cluster=inprocess", "run_dir=runs/none"]


def built(*overrides: str) -> EvaluationJob:
    return evaluation_job(compose("evaluate", [*BASE, *overrides]))


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_the_settings_reach_the_engine(engine: str) -> None:
    overrides = ["prm=rprm_7b", "prm.num_samples=32", "prm.combination=majority"]
    factory = built(f"engine={engine}", *overrides).engine
    assert isinstance(factory, EngineFactory)
    prm = factory.arguments["prm"]
    assert isinstance(prm, GenerativePrm)
    assert isinstance(prm.family, RPrm)
    assert (prm.num_samples, prm.combination) == (32, Combination.majority)
    pickle.dumps(factory)


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_the_engine_is_one_that_reads_what_the_prm_writes(engine: str) -> None:
    generative = pytest.importorskip("actors.generative_scorer")
    pytest.importorskip(f"actors.{engine}_prm")
    made = built(f"engine={engine}", "prm=sandbox_rprm", "prm.model=somewhere").engine
    assert made is not None
    assert isinstance(made(), generative.GenerativeScorer)
    other = built(f"engine={engine}", "prm=sandbox").engine
    assert other is not None
    assert not isinstance(other(), generative.GenerativeScorer)


def test_the_sandbox_has_its_own_wording() -> None:
    factory = built("prm=sandbox_rprm", "prm.model=somewhere").engine
    assert isinstance(factory, EngineFactory)
    prm = factory.arguments["prm"]
    assert isinstance(prm, GenerativePrm)
    assert isinstance(prm.family, SandboxRPrm)


@pytest.mark.parametrize("option", ["rprm_7b", "thinkprm_14b", "rprm", "sandbox_rprm"])
def test_analyses_are_drawn_for_the_threshold_of_the_evaluation(option: str) -> None:
    overrides = [f"prm={option}", "prm.model=somewhere", "threshold=0.3"]
    factory = built(*overrides).engine
    assert isinstance(factory, EngineFactory)
    prm = factory.arguments["prm"]
    assert isinstance(prm, GenerativePrm)
    assert prm.threshold == 0.3
    search = compose("search", [*overrides[:2], "cluster=inprocess"])
    assert search.prm.threshold == 0.5


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"give num_samples=1"):
        built("prm=rprm_7b", "prm.temperature=0")

from __future__ import annotations

import pickle

import pytest

from actors.openai_options import OpenAIOptions
from prm_search.composition import compose
from prm_search.engines import EngineFactory
from prm_search.errors import ConfigurationError
from prm_search.judging.judge import JudgeModel
from prm_search.judging.lessons import LessonsCritique
from prm_search.labeling.label_job import LabelJob, label_job

BASE = ["policy=sandbox", "data=sandbox", "cluster=inprocess", "label=consensus"]


def built(*overrides: str) -> LabelJob:
    return label_job(compose("label", [*BASE, *overrides]), name="consensus")


@pytest.mark.parametrize("engine", ["vllm", "transformers", "openai"])
def test_a_judge_behind_a_server_goes_with_every_engine(engine: str) -> None:
    job = built(
        f"engine={engine}",
        "engine/judge=openai",
        "engine.judge.options.base_url=https://host/v1",
        "judge=qwen2_5_72b_instruct",
    )
    judge = job.engine.judge
    assert isinstance(judge, EngineFactory)
    assert judge.target == "actors.openai_judge.OpenAIJudge"
    options, model = judge.arguments["options"], judge.arguments["judge"]
    assert isinstance(options, OpenAIOptions)
    assert isinstance(model, JudgeModel)
    assert options.base_url == "https://host/v1"
    assert isinstance(model.template, LessonsCritique)
    pickle.dumps(judge)


def test_every_role_but_the_prm_may_be_behind_a_server() -> None:
    job = built("engine=openai", "judge=sandbox", "policy@completer=sandbox")
    factories = (job.engine.generator, job.engine.completer, job.engine.judge)
    targets = [factory.target for factory in factories if isinstance(factory, EngineFactory)]
    assert targets == [
        "actors.openai_generator.OpenAIGenerator",
        "actors.openai_generator.OpenAIGenerator",
        "actors.openai_judge.OpenAIJudge",
    ]


def test_impossible_options_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"options\.base_url must start with http"):
        built("engine=openai", "judge=sandbox", "engine.judge.options.base_url=host")

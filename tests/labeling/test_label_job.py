"""From the configuration to a labeling job."""

from __future__ import annotations

from pathlib import Path

import pytest

from prm_search.building import plain_config
from prm_search.composition import compose, options
from prm_search.errors import ConfigurationError
from prm_search.judging.sandbox import SandboxCritique
from prm_search.labeling.consensus import Consensus
from prm_search.labeling.label_job import LabelJob, label_job
from prm_search.labeling.monte_carlo import MonteCarlo

FAKES = Path(__file__).parent / "conf"
BASE = ["engine=fake", "cluster=inprocess", "data=sandbox"]


def job(*overrides: str) -> LabelJob:
    return label_job(compose("label", [*BASE, *overrides], config_dir=FAKES), name="x")


@pytest.mark.parametrize("option", options()["label"])
def test_every_annotator_is_built_with_the_engines_that_it_needs(option: str) -> None:
    made = job(f"label={option}")
    assert made.engine.scorer is None
    assert made.engine.completer is None
    assert (made.engine.judge is not None) == (option in ("judge", "consensus"))


def test_overrides_reach_the_objects() -> None:
    made = job("label.monte_carlo.num_rollouts=3", "num_responses=2", "seed=5")
    assert isinstance(made.label, Consensus)
    assert made.label.monte_carlo.num_rollouts == 3
    assert (made.num_responses, made.seed) == (2, 5)
    soft = job("label=monte_carlo_soft", "label.num_rollouts=4").label
    assert isinstance(soft, MonteCarlo)
    assert (soft.labels, soft.num_rollouts) == ("soft", 4)


def test_a_completer_of_its_own_is_made_from_its_own_settings() -> None:
    overrides = ["policy@completer=sandbox", "completer.temperature=0.5", "label=monte_carlo"]
    config = compose("label", ["data=sandbox", "cluster=inprocess", "policy=sandbox", *overrides])
    made = label_job(config, name="monte_carlo")
    completer = getattr(made.engine.completer, "arguments", {})["policy"]
    policy = getattr(made.engine.generator, "arguments", {})["policy"]
    assert (completer.temperature, policy.temperature) == (0.5, 1.0)


def test_an_incomplete_completer_is_named() -> None:
    overrides = ["policy=sandbox", "policy@completer=default", "label=monte_carlo"]
    config = compose("label", ["data=sandbox", "cluster=inprocess", *overrides])
    with pytest.raises(ConfigurationError, match=r"completer\.model is not set"):
        label_job(config, name="monte_carlo")


def test_a_setting_that_nothing_reads_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no such setting: methods"):
        job("+methods={}")


def test_the_demo_labels_by_consensus_with_the_judge_of_the_sandbox() -> None:
    config = compose("label", ["experiment=label_demo", *BASE[:2]], config_dir=FAKES)
    made = label_job(config, name="consensus")
    assert isinstance(made.label, Consensus)
    assert config.data.split.name == "train"
    demo = compose("label", ["experiment=label_demo"])
    assert demo.judge.template._target_.endswith(SandboxCritique.__name__)


def test_the_recorded_configuration_holds_what_the_job_can_use() -> None:
    values = plain_config(compose("label", ["experiment=label_demo"]))
    engine = values["engine"]
    assert isinstance(engine, dict)
    assert engine["judge"]["judge"] == "${judge}"
    assert "scorer" not in engine
    searching = plain_config(compose("search", ["experiment=demo"]))["engine"]
    assert isinstance(searching, dict)
    assert "judge" not in searching

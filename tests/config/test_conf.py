from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from prm_search.building import plain_config
from prm_search.composition import compose, expand_home, groups_of, options, typed_nodes
from prm_search.config import TARGET
from prm_search.errors import ConfigurationError
from prm_search.job import search_job
from prm_search.search import DVTS, BeamSearch, BestOfN

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests/controller/conf"
OPTIONS = [(group, option) for group, found in options().items() for option in found]
COMMANDS = [path.stem for path in sorted((ROOT / "conf").glob("*.yaml"), reverse=True)]
BASE = ["engine=fake", "cluster=inprocess", "data=rows", "data.path=problems.jsonl"]


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda item: str(item))
def test_every_option_composes_and_fits_its_schemas(group: str, option: str) -> None:
    config = _composed(group, option)
    OmegaConf.to_yaml(config, resolve=False)
    names = {name for name, _, _ in typed_nodes(config)}
    text = (ROOT / "conf" / group / f"{option}.yaml").read_text()
    if TARGET in yaml.safe_load(text):
        assert group in names, f"{group}={option} is not backed by a dataclass"


def _composed(group: str, option: str) -> DictConfig:
    """With the first command that the option fits: experiments are each for one command."""
    failures: list[HydraException] = []
    for command in COMMANDS:
        if group in groups_of(command):
            try:
                return compose(command, [f"{group}={option}"])
            except HydraException as error:
                failures.append(error)
    raise failures[0]


@pytest.mark.parametrize("option", options()["search"])
def test_every_search_is_built(option: str) -> None:
    config = compose("search", [*BASE, f"search={option}"], config_dir=FAKES)
    job = search_job(config, name=option)
    assert list(job.methods) == [option]


def test_overrides_reach_the_objects() -> None:
    overrides = [*BASE, "search=beam", "search.num_beams=8", "search.aggregation=min", "seed=3"]
    job = search_job(compose("search", overrides, config_dir=FAKES), name="beam")
    (beam,) = job.methods.values()
    assert isinstance(beam, BeamSearch)
    assert (beam.num_beams, beam.aggregation, job.seed) == (8, "min", 3)


def test_no_scorer_is_made_where_no_search_needs_one() -> None:
    job = search_job(
        compose("search", [*BASE, "search=majority"], config_dir=FAKES), name="majority"
    )
    assert job.engine.scorer is None


def test_the_demo_runs_all_searches_at_n_16() -> None:
    config = compose("search", ["experiment=demo", *BASE[:2]], config_dir=FAKES)
    job = search_job(config, name="none")
    assert list(job.methods) == [
        "greedy",
        "majority",
        "best_of_n",
        "weighted_best_of_n",
        "beam",
        "dvts",
        "step_greedy",
    ]
    beam, dvts, majority = (job.methods[name] for name in ("beam", "dvts", "majority"))
    assert isinstance(beam, BeamSearch)
    assert isinstance(dvts, DVTS)
    assert isinstance(majority, BestOfN)
    assert beam.num_beams == dvts.num_subtrees * dvts.num_expansions == majority.num_samples == 16


def test_a_method_can_be_left_out_of_the_demo() -> None:
    config = compose("search", ["experiment=demo", "~methods.dvts"], config_dir=FAKES)
    assert "dvts" not in config.methods


def test_a_search_beside_methods_is_refused() -> None:
    config = compose("search", ["experiment=demo", "search=beam", *BASE[:2]], config_dir=FAKES)
    with pytest.raises(ConfigurationError, match="search and methods are both given"):
        search_job(config, name="beam")


def test_all_that_is_missing_is_named_with_what_it_is() -> None:
    with pytest.raises(ConfigurationError) as error:
        search_job(compose("search", ["cluster=inprocess"]), name="beam")
    assert "policy.model is not set: A folder, or a name on the Hugging Face Hub." in str(
        error.value
    )
    assert "prm.model is not set" in str(error.value)
    assert "data is not set: The problems. Give data=gsm8k or math500" in str(error.value)


def test_an_impossible_value_is_named() -> None:
    config = compose("search", [*BASE, "search.num_beams=-1"], config_dir=FAKES)
    with pytest.raises(ConfigurationError, match=r"^search: BeamSearch: num_beams must be"):
        search_job(config, name="beam")


def test_a_setting_that_nothing_reads_is_refused() -> None:
    config = compose("search", [*BASE, "+foo=1"], config_dir=FAKES)
    with pytest.raises(ConfigurationError, match="no such setting: foo"):
        search_job(config, name="beam")


def test_a_mistake_in_a_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search/mine.yaml").write_text(
        "_target_: prm_search.search.BeamSearch\nnum_beems: 3\n"
    )
    with pytest.raises(ConfigurationError, match=r"search/mine\.yaml: Key 'num_beems' not in"):
        compose("search", ["search=mine"], config_dir=tmp_path)


def test_a_folder_of_ones_own_adds_options_that_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search/wide.yaml").write_text(
        "_target_: prm_search.search.BeamSearch\nnum_beams: 64\n"
    )
    config = compose("search", ["search=wide", "search.num_expansions=8"], config_dir=tmp_path)
    assert (config.search.num_beams, config.search.num_expansions) == (64, 8)
    with pytest.raises(HydraException):
        compose("search", ["search=wide", "search.num_beams=many"], config_dir=tmp_path)


def test_the_recorded_configuration_is_resolved_and_says_nothing_twice() -> None:
    config = compose("search", ["policy=sandbox", "engine=vllm", "cluster=inprocess"])
    values = plain_config(config)
    policy, engine = values["policy"], values["engine"]
    assert isinstance(policy, dict)
    assert isinstance(engine, dict)
    assert policy["model"].endswith("sandbox/models/policy")
    assert engine["generator"]["policy"] == "${policy}"
    assert yaml.safe_load(yaml.safe_dump(values)) == values


def test_a_leading_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = compose(
        "search",
        [
            "policy.model='~/models/policy'",
            "prm.model='owner/~name'",
            "run_dir='~/runs'",
            "data=gsm8k",
        ],
    )
    expand_home(config)
    assert config.policy.model == "/home/ada/models/policy"
    assert config.engine.generator.policy.model == "/home/ada/models/policy"
    assert config.prm.model == "owner/~name"
    assert config.run_dir == "/home/ada/runs"

from __future__ import annotations

from pathlib import Path

import pytest

from prm_search.cli import main
from prm_search.composition import compose
from prm_search.errors import ConfigurationError
from prm_search.job import search_job

FAKES = str(Path(__file__).parents[1] / "controller/conf")


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["search", "--config-dir", FAKES, "engine=fake", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("prm-search: ")
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("search=beem", "did you mean 'beam'?"),
        ("data=math50", "did you mean 'math500'?"),
        ("serch=beam", "did you mean 'search'?"),
        ("search.num_beems=3", "did you mean 'search.num_beams'?"),
        ("num_beams=3", "did you mean 'search.num_beams'?"),
        ("polcy.model=x", "did you mean 'policy.model'?"),
        ("policy.modle=x", "did you mean 'policy.model'?"),
        ("cluster.policy.replica=2", "did you mean 'cluster.policy.replicas'?"),
        ("max_inflight=3", "did you mean 'max_in_flight'?"),
        ("search.aggregation=mim", "did you mean 'min'?"),
    ],
)
def test_a_misspelt_name_gives_the_nearest_one(
    capsys: pytest.CaptureFixture[str], wrong: str, meant: str
) -> None:
    assert meant in fails(capsys, wrong)


@pytest.mark.parametrize("override", ["data.path=~/rows.jsonl", "data.path='~/rows.jsonl'"])
def test_a_leading_tilde_is_the_home_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, override: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    given = ["search", "--config-dir", FAKES, "engine=fake", "data=rows", "cluster=inprocess"]
    assert main([*given, override]) == 1
    assert "/home/ada/rows.jsonl does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("search.num_beams=many", "search.num_beams=many: value 'many' of type 'str'"),
        ("seed=x", "seed=x: value 'x'"),
        ("search.selection=best", "expected one of [argmax, weighted, majority]"),
        ("search=nothing", "beam, best_of_n, dvts"),
        ("search.num_beams=1,2", "--multirun"),
        ("search.num_expansions=3", "num_beams (16) must be a multiple of num_expansions (3)"),
        ("policy.temperature=0", "take search=greedy"),
    ],
)
def test_an_ill_typed_value_fails_before_anything_starts(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_group_is_refused_with_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert "write ~search" in fails(capsys, "search=null")


def test_what_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "cluster=inprocess"]) == 2
    error = capsys.readouterr().err
    assert "policy.model is not set" in error
    assert "data is not set" in error


def test_a_sweep_with_a_mistake_in_one_value_starts_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = fails(capsys, "--multirun", "search=majority,beem", "run_dir=sweep")
    assert "did you mean 'beam'?" in message
    assert not list(tmp_path.glob("**/records.jsonl"))


def test_debug_shows_where_an_error_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "search=beem", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_configuration_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--cfg", "job", "search=dvts"]) == 0
    shown = capsys.readouterr().out
    assert "num_subtrees: 4" in shown
    assert "hydra" not in shown


def test_help_names_groups_settings_types_defaults_and_meanings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["search", "--help"]) == 0
    text = capsys.readouterr().out
    assert "prm-search search experiment=demo" in text
    assert "weighted_best_of_n" in text
    assert "search.num_beams: int = 16" in text
    assert "Samples drawn at each depth, in all." in text
    assert "policy.model: str = ??? (must be given)" in text
    assert "search.aggregation: min, product, last or mean = product" in text
    assert "budget.max_generated_tokens: int or null = null" in text


def test_help_follows_the_options_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "search=dvts", "--help"]) == 0
    text = capsys.readouterr().out
    assert "search.num_subtrees: int = 4" in text
    assert "num_beams: int" not in text


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "report" in capsys.readouterr().out
    assert main(["serch"]) == 2
    assert "did you mean 'search'?" in capsys.readouterr().err


def test_a_report_of_no_run_is_a_clear_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["report", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "holds no run" in error
    assert "Traceback" not in error


def test_a_limit_on_the_prm_needs_a_search_that_has_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "problems.jsonl").write_text('{"problem": "1 + 1"}')
    settings = ["cluster=inprocess", "data=rows", f"data.path={tmp_path}/problems.jsonl"]
    limit = "budget.max_scored_tokens=100"
    assert "no search here has one" in fails(capsys, *settings, "search=majority", limit)


def test_a_reward_model_of_whole_answers_is_not_mixed_with_its_guesses(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text('{"problem": "1 + 1"}')
    data = ["data=rows", f"data.path={tmp_path}/problems.jsonl", "run_dir=unused"]
    settings = [*data, "policy.model=some/policy", "prm=skywork_reward_8b", "search=best_of_n"]
    with pytest.raises(ConfigurationError, match="set aggregation=last for best_of_n"):
        search_job(compose("search", settings), name="best_of_n")
    last = compose("search", [*settings, "search.aggregation=last"])
    assert search_job(last, name="best_of_n").engine.scorer is not None


def test_a_policy_without_variety_can_be_decoded_greedily(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "problems.jsonl").write_text('{"problem": "1 + 1"}')
    settings = ["cluster=inprocess", "data=rows", f"data.path={tmp_path}/problems.jsonl"]
    fakes = ["search", "--config-dir", FAKES, "engine=fake", *settings, "policy.temperature=0"]
    assert main([*fakes, "search=greedy", f"run_dir={tmp_path}/run"]) == 0
    assert "greedy" in capsys.readouterr().out


def test_a_setting_that_not_all_searches_of_a_sweep_have_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = ["--multirun", "search=majority,beam", "run_dir=sweep"]
    for setting in ("search.num_samples=4", "search.num_samples=4,8"):
        message = fails(capsys, *sweep, setting)
        assert "not all of search=majority,beam have such a setting" in message
    assert not list(tmp_path.glob("**/records.jsonl"))


def test_a_setting_that_all_searches_of_a_sweep_have_needs_no_default_search_that_has_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "problems.jsonl").write_text('{"problem": "1 + 1"}')
    settings = ["cluster=inprocess", "data=rows", f"data.path={tmp_path}/problems.jsonl"]
    sweep = ["--multirun", "search=majority,best_of_n", "search.num_samples=4", "seed=0,1"]
    fakes = ["search", "--config-dir", FAKES, "engine=fake", *settings]
    assert main([*fakes, *sweep, f"run_dir={tmp_path}/sweep"]) == 0
    names = {path.parent.name for path in tmp_path.glob("sweep/*/results.jsonl")}
    assert names == {
        f"search={name},seed={seed}" for name in ("majority", "best_of_n") for seed in (0, 1)
    }

"""The whole study, on engines without models, in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prm_search.cli import main
from prm_search.composition import compose
from prm_search.errors import ConfigurationError
from prm_search.studies.command import study_job
from prm_search.studies.lessons.study import Lessons
from prm_search.studies.study import StudyJob, run_study
from tests.studies.processes import Ended

CONF = str(Path(__file__).parent / "conf")
ENGINES = ["--config-dir", CONF, "engine=writers", "cluster=inprocess"]
MODELS = ["data=sandbox", "policy.model=writer", "policy.max_tokens=400"]
SMALL = Lessons(
    num_seeds=2,
    num_problems=10,
    num_responses=2,
    num_rollouts=2,
    num_updates=3,
    num_test_problems=10,
    num_samples=4,
    k=2,
    thresholds=[0.5],
    label=[*ENGINES, *MODELS, "judge.model=judge"],
    search=[*ENGINES, *MODELS],
    train=["model=base"],
    evaluate=ENGINES,
)


@dataclass(kw_only=True)
class InThisProcess:
    """Runs all commands but trainings, whose models are empty folders."""

    commands: list[list[str]] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Ended:
        log.touch()
        self.commands.append(list(arguments))
        return Ended(code=self._run(arguments), num_looks=1)

    def _run(self, arguments: Sequence[str]) -> int:
        if arguments[0] != "train-prm":
            return main(arguments)
        settings = dict(item.split("=", 1) for item in arguments[1:])
        rows = Path(settings["data.path"].strip("'")).read_text().splitlines()
        assert rows
        assert all(json.loads(row)["completions"] for row in rows)
        Path(settings["model_dir"].strip("'")).mkdir(parents=True)
        return 0


def run(run_dir: Path, study: Lessons = SMALL) -> tuple[InThisProcess, str]:
    launch, output = InThisProcess(), StringIO()
    code = run_study(
        StudyJob(study=study, quick=True, run_dir=str(run_dir)),
        config={"study": {"size": study.num_problems}},
        command="prm-search study",
        console=Console(file=output, width=140),
        launch=launch,
    )
    assert code == 0
    return launch, output.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InThisProcess, str]:
    run_dir = tmp_path_factory.mktemp("study")
    launch, output = run(run_dir)
    return run_dir, launch, output


def results(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "results.json").read_text())


def test_the_study_says_of_each_finding_whether_it_holds(
    finished: tuple[Path, InThisProcess, str],
) -> None:
    run_dir, _, output = finished
    found = results(run_dir)
    assert [item["title"][:2] for item in found["findings"]] == ["1.", "2.", "3.", "4."]
    assert found["findings"][0]["verdict"] == "holds"
    assert len(found["findings"][0]["claims"][0]["by_seed"]) == 2
    f1 = {item["source"]: item["first_errors"]["mean_f1"]["value"] for item in found["prms"]}
    assert f1["oracle"] > f1["mc_hard"]
    assert set(f1) == {item["source"] for item in found["labels"]}
    assert "mc_hard_above_0.5" in f1
    page = (run_dir / "report.html").read_text()
    for text in (output, page):
        assert "too small to decide" in " ".join(text.split())
        assert "consensus_soft" in text
    assert page.count("<svg") == 3


def test_the_sweep_has_all_thresholds_and_the_labels_that_were_trained_on(
    finished: tuple[Path, InThisProcess, str],
) -> None:
    found = results(finished[0])
    assert [item[0] for item in found["sweep"]] == [index / 8 for index in range(8)]
    by_source = {item["source"]: item for item in found["labels"]}
    assert found["sweep"][4][1]["f1"] == by_source["mc_hard_above_0.5"]["f1"]
    assert found["sweep"][0][1]["f1"] == by_source["mc_hard"]["f1"]
    kept = by_source["consensus_hard"]["num_kept"]
    assert 0 < kept == by_source["consensus_soft"]["num_kept"] < by_source["mc_hard"]["num_kept"]
    assert by_source["oracle"]["f1"]["value"] == 1


def test_responses_are_labeled_once_and_engines_started_once_for_each_purpose(
    finished: tuple[Path, InThisProcess, str],
) -> None:
    names = [command[0] for command in finished[1].commands]
    assert (names.count("label"), names.count("search")) == (1, 2)
    assert names.count("train-prm") == names.count("evaluate") == 2 * 7
    losses = [
        item
        for command in finished[1].commands
        for item in command
        if item.startswith("objective.loss")
    ]
    assert losses.count("objective.loss=mse") == 4
    assert losses.count("objective.loss=cross_entropy") == 10


def test_a_study_goes_on_where_it_was_killed(finished: tuple[Path, InThisProcess, str]) -> None:
    run_dir = finished[0]
    first = results(run_dir)
    lost = run_dir / "seed-1/evaluations/judge/results.jsonl"
    lost.unlink()
    records = lost.with_name("records.jsonl")
    records.write_bytes(records.read_bytes()[:-30])  # killed while it wrote
    launch, _ = run(run_dir)
    assert [command[0] for command in launch.commands] == ["evaluate"]
    second = results(run_dir)
    del first["seconds"], second["seconds"]
    assert first == second


def test_quick_takes_the_small_sizes_and_what_is_given_stands() -> None:
    def made(*overrides: str) -> Lessons:
        config = compose("study", ["experiment=lessons", "run_dir=x", *overrides])
        study = study_job(config).study
        assert isinstance(study, Lessons)
        return study

    full, quick = made(), made("quick=true")
    assert (full.num_seeds, quick.num_seeds) == (3, 1)
    assert full.num_problems > quick.num_problems
    assert made("quick=true", "study.num_problems=7").num_problems == 7
    assert full.thresholds == [k / 8 for k in range(1, 8)]
    assert quick.thresholds == []
    assert made("study.thresholds=[0.5]").thresholds == [0.5]
    assert any(item.startswith("model=") and item.endswith("base") for item in full.train)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_seeds": 0}, "study.num_seeds must be at least 1"),
        ({"num_samples": 4}, "study.num_samples must be 8"),
        ({"thresholds": [1.0]}, "study.thresholds must be above 0"),
    ],
)
def test_impossible_sizes_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Lessons(**setting)


def test_a_study_has_to_be_named() -> None:
    with pytest.raises(ConfigurationError, match="study is not set"):
        study_job(compose("study", ["run_dir=x"]))

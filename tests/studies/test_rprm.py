"""The whole study of R-PRMs, on engines without models, in this process."""

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
from prm_search.errors import ConfigurationError, DataError
from prm_search.studies.command import study_job
from prm_search.studies.rprm.seed_data import DPO, HEAD, PRMS, SFT
from prm_search.studies.rprm.study import RPrmStudy
from prm_search.studies.study import StudyJob, run_study
from tests.studies.processes import Ended

CONF = str(Path(__file__).parent / "conf")
ENGINES = ["--config-dir", CONF, "engine=rprm_writers", "cluster=inprocess"]
MODELS = ["data=sandbox", "policy.model=writer", "policy.max_tokens=400"]
SMALL = RPrmStudy(
    num_seeds=2,
    num_problems=6,
    num_responses=2,
    num_test_problems=10,
    num_samples=6,
    k=2,
    num_analyses=3,
    label=[*ENGINES, *MODELS],
    search=[*ENGINES, *MODELS],
    train=["model=base"],
    train_rprm=["experiment=sandbox_rprm"],
    evaluate=ENGINES,
    evaluate_rprm=ENGINES,
    rprm=["prm=sandbox_rprm"],
)


@dataclass(kw_only=True)
class InThisProcess:
    """Runs all commands but trainings, which leave empty models."""

    commands: list[list[str]] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Ended:
        log.touch()
        self.commands.append(list(arguments))
        return Ended(code=self._run(arguments), num_looks=1)

    def _run(self, arguments: Sequence[str]) -> int:
        if not arguments[0].startswith("train-"):
            return main(arguments)
        settings = dict(item.split("=", 1) for item in arguments[1:])
        rows = Path(settings["data.path"].strip("'")).read_text().splitlines()
        assert all(json.loads(row)["completions"] for row in rows)
        if arguments[0] == "train-prm":
            Path(settings["model_dir"].strip("'")).mkdir(parents=True)
            return 0
        stage = settings["stages"].strip("[]")
        folder = Path(settings["run_dir"].strip("'")) / stage
        folder.mkdir(parents=True)
        if stage in ("analyses", "pairs"):
            (folder / "results.jsonl").write_text("{}\n")
        else:
            (folder / "train.jsonl").write_text("{}\n{}\n")
            (folder / "model").mkdir()
        assert stage == "analyses" or (folder.parent / "analyses" / "results.jsonl").exists()
        return 0


def run(run_dir: Path, study: RPrmStudy = SMALL) -> tuple[InThisProcess, str]:
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
    assert [item["title"][:2] for item in found["findings"]] == [f"{n}." for n in range(1, 7)]
    assert found["findings"][2]["verdict"] == "holds"  # many analyses are right more often
    assert all(len(item["claims"][0]["by_seed"]) == 2 for item in found["findings"])
    page = (run_dir / "report.html").read_text()
    for text in (output, page):
        assert "too small to decide" in " ".join(text.split())
        assert "until 0.95 sure" in text
    assert page.count("<svg") == 2


def test_one_recording_gives_f1_by_number_of_analyses(
    finished: tuple[Path, InThisProcess, str],
) -> None:
    judgements = results(finished[0])["judgements"]
    assert [item["prm"] for item in judgements[:2]] == [HEAD, SFT]
    by_rule = {item["rule"]: item for item in judgements if item["prm"] == DPO}
    assert {"K=1", "K=2", "K=3", "K=4", "K=8", "K=16", "K=32"} <= by_rule.keys()
    assert by_rule["K=8"]["num_analyses"]["value"] == 8
    assert by_rule["K=32"]["f1"]["value"] > by_rule["K=1"]["f1"]["value"]
    assert by_rule["K=32"]["tokens"] > 3.5 * by_rule["K=8"]["tokens"]
    commands = finished[1].commands
    assert sum("prm.num_samples=32" in command for command in commands) == 2 * 2
    judged = finished[0] / "seed-0" / "evaluations" / DPO / "results.jsonl"
    assert len(judged.read_text().splitlines()) == SMALL.num_test_problems * SMALL.k


def test_stopping_early_takes_fewer_analyses_and_says_what_as_many_for_all_give(
    finished: tuple[Path, InThisProcess, str],
) -> None:
    judgements = results(finished[0])["judgements"]
    by_rule = {item["rule"]: item for item in judgements if item["prm"] == DPO}
    sure, certain = by_rule["until 0.95 sure"], by_rule["until 1 sure"]
    assert 3 < sure["num_analyses"]["value"] < certain["num_analyses"]["value"] < 32
    assert sure["same_number"] >= sure["num_analyses"]["value"]
    assert certain["minus_most"]["value"] == 0  # it never contradicts all of them


def test_everything_is_compared_at_equal_tokens(
    finished: tuple[Path, InThisProcess, str],
) -> None:
    found = results(finished[0])
    ways = {item["name"]: item for item in found["at_equal_tokens"]}
    assert {f"guided by {prm}" for prm in PRMS} <= ways.keys()
    best = ways[f"best-of-2 by {DPO} K=3"]
    policy = found["policy_tokens_per_sample"]
    assert best["cost"]["tokens"] > 2 * policy
    assert best["cost"]["num_votes"] == min(6, int(best["cost"]["tokens"] / policy))
    assert best["cost"]["is_short"]
    assert best["minus_votes"]["value"] == pytest.approx(
        best["solved"]["value"] - best["by_votes"]["value"]
    )


def test_what_is_learned_from_is_made_once(finished: tuple[Path, InThisProcess, str]) -> None:
    commands = finished[1].commands
    names = [command[0] for command in commands]
    assert names.count("label") == 1
    assert names.count("train-prm") == 2
    stages = [item for command in commands for item in command if item.startswith("stages=")]
    assert stages.count("stages=[analyses]") == 1
    assert [stages.count(f"stages=[{name}]") for name in ("sft", "pairs", "dpo")] == [2, 2, 2]
    assert names.count("evaluate") == 2 * 3
    assert names.count("search") == 2 * 4
    assert results(finished[0])["learned"]["analyses (SFT)"] == [2, 2]


def test_a_study_goes_on_where_it_was_killed(finished: tuple[Path, InThisProcess, str]) -> None:
    run_dir = finished[0]
    first = results(run_dir)
    evaluation = run_dir / "seed-1/evaluations" / SFT
    (evaluation / "results.jsonl").unlink()
    for name in ("records.jsonl", "analyses.jsonl"):
        path = evaluation / name
        path.write_bytes(path.read_bytes()[:-30])  # killed while it wrote
    launch, _ = run(run_dir)
    assert [command[0] for command in launch.commands] == ["evaluate"]
    second = results(run_dir)
    del first["seconds"], second["seconds"]
    assert first == second


def test_missing_analyses_are_named(finished: tuple[Path, InThisProcess, str]) -> None:
    recording = finished[0] / "seed-0/evaluations" / DPO / "analyses.jsonl"
    whole = recording.read_text()
    recording.write_text("".join(whole.splitlines(keepends=True)[5:]))
    try:
        with pytest.raises(DataError, match="there are no recorded analyses of step"):
            run(finished[0])
    finally:
        recording.write_text(whole)


def test_quick_takes_the_small_sizes_and_what_is_given_stands() -> None:
    def made(*overrides: str) -> RPrmStudy:
        config = compose("study", ["experiment=rprm", "run_dir=x", *overrides])
        study = study_job(config).study
        assert isinstance(study, RPrmStudy)
        return study

    full, quick = made(), made("quick=true")
    assert (full.num_seeds, quick.num_seeds) == (3, 1)
    assert full.num_problems > quick.num_problems
    assert made("quick=true", "study.num_problems=7").num_problems == 7
    assert any(item.startswith("model=") and item.endswith("base") for item in full.train)


def test_the_commands_of_the_shipped_study_can_be_composed(tmp_path: Path) -> None:
    study = study_job(compose("study", ["experiment=rprm", "run_dir=x"])).study
    for stage in study.stages(0, tmp_path):
        if not callable(stage.work):
            compose(stage.work[0], list(stage.work[1:]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_seeds": 0}, "study.num_seeds must be at least 1"),
        ({"num_samples": 4}, "study.num_samples must be at least k, 8"),
        ({"num_analyses": 33}, r"study.num_analyses must be in \[1, 32\]"),
        ({"num_own_analyses": 1}, "to make a pair of"),
    ],
)
def test_impossible_sizes_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RPrmStudy(**setting)

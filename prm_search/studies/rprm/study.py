"""The stages of the study.

Once:           problems ──policy──▶ responses ──oracle──▶ labels ──teacher──▶ analyses
For each seed:  labels ──▶ a discriminative PRM;  labels, analyses ──▶ SFT ──▶ pairs ──▶ DPO
                test problems ──policy──▶ samples ──each PRM──▶ scores, 32 analyses of each step
                test problems ──policy guided by each PRM──▶ solutions

As in the study of label sources, the seeds share what is learned from: a third of it would be
learned by heart.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prm_search.errors import DataError
from prm_search.model_settings import require
from prm_search.store import RESULTS
from prm_search.studies.page import StudyReport
from prm_search.studies.rprm.findings import MOST
from prm_search.studies.rprm.results import measure
from prm_search.studies.rprm.sections import rprm_report
from prm_search.studies.rprm.seed_data import (
    ANALYSES,
    DPO,
    HEAD,
    PRMS,
    SFT,
    read_seed,
)
from prm_search.studies.stage import Stage, times

THRESHOLD = 0.5
_FIRST_DATA_SEED = 700
"""The problems to train on are drawn from this number, those to test seed s on from this number
plus s, in a split of their own."""
_SCORING = ("max_in_flight=32",)
"""Each solution asks for 32 analyses of each of its steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RPrmStudy:
    """A discriminative PRM, an R-PRM by SFT, and one by DPO, from the same labels."""

    num_seeds: int = 3
    """Repetitions, each with trainings and test problems of its own."""
    num_problems: int = 1500
    """Problems whose responses are labeled by the oracle, once for all seeds."""
    num_responses: int = 4
    """Responses that are sampled for each of them."""
    num_teacher_analyses: int = 2
    """Analyses that the teacher writes of each chosen step, once for all seeds."""
    num_own_analyses: int = 4
    """Analyses that the R-PRM writes of each of these steps after SFT, for pairs."""
    num_updates: int = 300
    """Of the discriminative PRM's training."""
    num_sft_updates: int = 300
    """Of the R-PRM's training on analyses."""
    num_dpo_updates: int = 50
    """Of its training on pairs."""
    num_test_problems: int = 40
    """Problems of a seed on which PRMs are evaluated."""
    num_samples: int = 96
    """Samples of each of them, for a majority vote with as many tokens as an R-PRM takes."""
    k: int = 8
    """How many of these all PRMs judge and choose among; steps that guided search chooses among."""
    num_analyses: int = 8
    """Analyses of a step where an R-PRM is compared with something else, from 1 to 32."""
    label: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search label: the policy, the data."""
    train: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search train-prm: the model to start from, the trainer."""
    train_rprm: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search train-rprm: the model to start from, the teacher, the
    trainers."""
    search: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search search: the policy, the data."""
    evaluate: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search evaluate for the discriminative PRM: the engine."""
    evaluate_rprm: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search evaluate for the R-PRMs: the engine."""
    rprm: list[str] = field(default_factory=list[str])
    """How an R-PRM is asked, wherever one is used: prm=…"""

    def __post_init__(self) -> None:
        counts = (
            *("num_seeds", "num_problems", "num_responses", "num_teacher_analyses", "num_updates"),
            *("num_sft_updates", "num_dpo_updates", "num_test_problems", "num_samples", "k"),
        )
        for name in counts:
            require(
                getattr(self, name) >= 1, f"study.{name}", getattr(self, name), "must be at least 1"
            )
        own = self.num_own_analyses
        require(own >= 2, "study.num_own_analyses", own, "must be at least 2, to make a pair of")
        enough = self.num_samples >= self.k
        require(enough, "study.num_samples", self.num_samples, f"must be at least k, {self.k}")
        number = self.num_analyses
        require(1 <= number <= MOST, "study.num_analyses", number, f"must be in [1, {MOST}]")

    @property
    def seeds(self) -> Sequence[int]:
        """The repetitions; see `prm_search.studies.study.Study`."""
        return range(self.num_seeds)

    def stages(self, seed: int, run_dir: Path) -> Sequence[Stage]:
        """What has to be done for a seed; see `prm_search.studies.study.Study`.

        What the seeds share is done with the first one.
        """
        folder = run_dir / f"seed-{seed}"
        return [
            *(self._shared_stages(run_dir) if seed == self.seeds[0] else ()),
            self._sample_stage(seed, folder),
            _hand_over_stage(seed, run_dir),
            self._head_stage(seed, run_dir),
            *self._rprm_stages(seed, run_dir),
            *self._evaluation_stages(seed, folder),
            *self._search_stages(seed, folder),
        ]

    def report(self, seeds: Sequence[int], run_dir: Path, *, is_quick: bool) -> StudyReport:
        """What came of it; see `prm_search.studies.study.Study`."""
        seconds: dict[str, float] = {}
        for item in times(run_dir):
            seconds[item.kind] = seconds.get(item.kind, 0.0) + item.share
        folders = [run_dir / f"seed-{seed}" for seed in seeds]
        results = measure(
            [read_seed(folder) for folder in folders],
            seeds=seeds,
            k=self.k,
            num_analyses=self.num_analyses,
            threshold=THRESHOLD,
            learned=_learned(_labels(run_dir), folders),
            seconds=seconds,
        )
        return rprm_report(results, is_quick=is_quick, num_seeds=self.num_seeds)

    def _shared_stages(self, run_dir: Path) -> Iterator[Stage]:
        yield Stage(
            kind="label",
            name="label responses",
            output=run_dir / "labels" / RESULTS,
            work=[
                *("label", *self.label, "label=oracle"),
                "data.split=train",
                f"data.num_problems={self.num_problems}",
                f"data.seed={_FIRST_DATA_SEED}",
                f"num_responses={self.num_responses}",
                f"run_dir={_quoted(run_dir / 'labels')}",
            ],
        )
        yield Stage(
            kind="teach",
            name="analyses by the teacher",
            output=run_dir / "teacher" / "analyses" / RESULTS,
            work=self._train_rprm("analyses", 0, run_dir, run_dir / "teacher"),
        )

    def _sample_stage(self, seed: int, folder: Path) -> Stage:
        return Stage(
            kind="sample",
            name=f"seed {seed} sample test solutions",
            output=folder / "samples" / RESULTS,
            work=[
                *("search", *self.search, "search=majority"),
                f"search.num_samples={self.num_samples}",
                *self._test_problems(seed),
                f"run_dir={_quoted(folder / 'samples')}",
            ],
        )

    def _head_stage(self, seed: int, run_dir: Path) -> Stage:
        training = run_dir / f"seed-{seed}" / "trainings" / HEAD
        return Stage(
            kind="train",
            name=f"seed {seed} train {HEAD}",
            output=training / HEAD,
            work=[
                *("train-prm", *self.train),
                f"data.path={_quoted(_labels(run_dir))}",
                f"trainer.optimizer.num_steps={self.num_updates}",
                f"trainer.checkpoint_every={self.num_updates}",
                "trainer.max_checkpoints=1",
                f"seed={seed}",
                f"run_dir={_quoted(training)}",
                f"model_dir={_quoted(training / HEAD)}",
            ],
            group="train",
        )

    def _rprm_stages(self, seed: int, run_dir: Path) -> Iterator[Stage]:
        training = _rprm_training(run_dir / f"seed-{seed}")
        outputs = {"sft": "model", "pairs": RESULTS, "dpo": "model"}
        for name, output in outputs.items():
            yield Stage(
                kind=name,
                name=f"seed {seed} R-PRM {name}",
                output=training / name / output,
                work=self._train_rprm(name, seed, run_dir, training),
                group="train" if name == "sft" else None,
            )

    def _evaluation_stages(self, seed: int, folder: Path) -> Iterator[Stage]:
        for prm in PRMS:
            evaluation = folder / "evaluations" / prm
            own = (
                (*self.evaluate, f"prm.model={_quoted(_model(folder, prm))}")
                if prm == HEAD
                else (
                    *self.evaluate_rprm,
                    *self._asked(folder, prm, MOST),
                    f"prm.recording={_quoted(evaluation / ANALYSES)}",
                    f"benchmark.num_samples={self.k}",
                    *_SCORING,
                )
            )
            yield Stage(
                kind="evaluate" if prm == HEAD else "analyse",
                name=f"seed {seed} evaluate {prm}",
                output=evaluation / RESULTS,
                work=[
                    *("evaluate", "benchmark=bias", "subject=prm", *own),
                    f"benchmark.run_dir={_quoted(folder / 'samples')}",
                    f"threshold={THRESHOLD}",
                    f"seed={seed}",
                    f"run_dir={_quoted(evaluation)}",
                ],
                group="evaluate",
            )

    def _search_stages(self, seed: int, folder: Path) -> Iterator[Stage]:
        for prm in PRMS:
            own = (
                (f"prm.model={_quoted(_model(folder, prm))}",)
                if prm == HEAD
                else self._asked(folder, prm, self.num_analyses)
            )
            yield Stage(
                kind="guide" if prm == HEAD else "guide by analyses",
                name=f"seed {seed} search guided by {prm}",
                output=folder / "searches" / prm / RESULTS,
                work=[
                    *("search", *self.search, "search=step_greedy", *own),
                    f"search.num_expansions={self.k}",
                    *self._test_problems(seed),
                    f"run_dir={_quoted(folder / 'searches' / prm)}",
                ],
                group="guide",
            )

    def _train_rprm(self, stage: str, seed: int, run_dir: Path, training: Path) -> list[str]:
        return [
            *("train-rprm", *self.train_rprm, f"stages=[{stage}]"),
            f"data.path={_quoted(_labels(run_dir))}",
            f"bootstrap.num_analyses={self.num_teacher_analyses}",
            f"preferences.num_analyses={self.num_own_analyses}",
            f"sft.optimizer.num_steps={self.num_sft_updates}",
            f"sft.checkpoint_every={max(1, self.num_sft_updates // 4)}",
            "sft.num_checked=0",
            f"dpo.optimizer.num_steps={self.num_dpo_updates}",
            f"dpo.checkpoint_every={max(1, self.num_dpo_updates // 4)}",
            "dpo.num_checked=0",
            f"seed={seed}",
            f"run_dir={_quoted(training)}",
        ]

    def _asked(self, folder: Path, prm: str, num_samples: int) -> tuple[str, ...]:
        return (
            *self.rprm,
            f"prm.model={_quoted(_model(folder, prm))}",
            f"prm.num_samples={num_samples}",
        )

    def _test_problems(self, seed: int) -> tuple[str, ...]:
        return (
            "data.split=test",
            f"data.num_problems={self.num_test_problems}",
            f"data.seed={_FIRST_DATA_SEED + seed}",
            f"seed={seed}",
        )


def _hand_over_stage(seed: int, run_dir: Path) -> Stage:
    target = _rprm_training(run_dir / f"seed-{seed}") / "analyses"
    return Stage(
        kind="hand over",
        name=f"seed {seed} take the analyses by the teacher",
        output=target,
        work=partial(_hand_over, run_dir / "teacher" / "analyses", target),
    )


def _hand_over(source: Path, target: Path) -> None:
    draft = target.with_name(f".draft_{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft)
    draft.replace(target)


def _labels(run_dir: Path) -> Path:
    return run_dir / "labels" / "dataset" / "train.jsonl"


def _rprm_training(folder: Path) -> Path:
    return folder / "trainings" / "rprm"


def _model(folder: Path, prm: str) -> Path:
    if prm == HEAD:
        return folder / "trainings" / HEAD / HEAD
    return _rprm_training(folder) / {SFT: "sft", DPO: "dpo"}[prm] / "model"


def _learned(labels: Path, folders: Sequence[Path]) -> Mapping[str, Sequence[int]]:
    trainings = [_rprm_training(folder) for folder in folders]
    return {
        "labeled responses": [_num_lines(labels) for _ in folders],
        "analyses (SFT)": [_num_lines(item / "sft" / "train.jsonl") for item in trainings],
        "pairs of analyses (DPO)": [_num_lines(item / "dpo" / "train.jsonl") for item in trainings],
    }


def _num_lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in file)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _quoted(path: Path) -> str:
    """A path as the value of an override."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"

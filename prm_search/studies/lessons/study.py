"""The stages of the study.

Once:           problems ──policy──▶ responses ──rollouts, judge──▶ labels of each source
For each seed:  labels of each source ──▶ a PRM for each
                test problems ──policy──▶ samples ──each PRM──▶ scores

Labels cost most of the time, and a PRM that learns from a third of them learns them by heart
instead; so the seeds share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prm_search.model_settings import require
from prm_search.store import RESULTS
from prm_search.studies.lessons.results import measure
from prm_search.studies.lessons.sections import lessons_report
from prm_search.studies.lessons.sources import LabelSource, label_sources, write_sources
from prm_search.studies.page import StudyReport
from prm_search.studies.stage import Stage, times

THRESHOLD = 0.5
_FIRST_DATA_SEED = 500
"""The problems to train on are drawn from this number, those to test seed s on from this number
plus s, in a split of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lessons:
    """PRMs from Monte-Carlo, judge, consensus and true labels: what each is good for."""

    num_seeds: int = 3
    """Repetitions, each with trainings and test problems of its own."""
    num_problems: int = 1200
    """Problems whose responses are labeled, once for all seeds."""
    num_responses: int = 4
    """Responses that are sampled for each of them."""
    num_rollouts: int = 8
    """Completions of each prefix."""
    num_updates: int = 400
    """Of each training, whatever the source keeps."""
    thresholds: list[float] = field(default_factory=list[float])
    """Train a PRM on Monte-Carlo hard labels with each of these thresholds too, in (0, 1)."""
    num_test_problems: int = 150
    """Problems of a seed on which PRMs are evaluated."""
    num_samples: int = 24
    """Samples of each of them. Best-of-k is a mean over the subsets of k; a majority vote with
    as many tokens needs about three times k."""
    k: int = 8
    """Of best-of-k."""
    label: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search label: the policy, the judge, the data."""
    train: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search train-prm: the model to start from, the trainer."""
    search: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search search: the policy, the data."""
    evaluate: list[str] = field(default_factory=list[str])
    """Further arguments of prm-search evaluate: the engine."""

    def __post_init__(self) -> None:
        counts = ("num_seeds", "num_problems", "num_responses", "num_rollouts", "num_updates")
        for name in (*counts, "num_test_problems"):
            value = getattr(self, name)
            require(value >= 1, f"study.{name}", value, "must be at least 1")
        require(self.k >= 2, "study.k", self.k, "must be at least 2")
        has_size = self.num_samples >= self.k and (self.k & (self.k - 1)) == 0
        require(
            has_size or self.num_samples == self.k,
            "study.num_samples",
            self.num_samples,
            f"must be {self.k}, or more if that is a power of two",
        )
        for value in self.thresholds:
            require(0 < value < 1, "study.thresholds", value, "must be above 0 and below 1")

    @property
    def seeds(self) -> Sequence[int]:
        """The repetitions; see `prm_search.studies.study.Study`."""
        return range(self.num_seeds)

    @property
    def sources(self) -> tuple[LabelSource, ...]:
        """What PRMs are trained on."""
        return label_sources(self.thresholds)

    def stages(self, seed: int, run_dir: Path) -> Sequence[Stage]:
        """What has to be done for a seed; see `prm_search.studies.study.Study`.

        What the seeds share is done with the first one.
        """
        return [
            *(self._label_stages(run_dir) if seed == self.seeds[0] else ()),
            self._sample_stage(seed, run_dir / f"seed-{seed}"),
            *self._training_stages(seed, run_dir),
            *self._evaluation_stages(seed, run_dir / f"seed-{seed}"),
        ]

    def report(self, seeds: Sequence[int], run_dir: Path, *, is_quick: bool) -> StudyReport:
        """What came of it; see `prm_search.studies.study.Study`."""
        folders = [run_dir / f"seed-{seed}" for seed in seeds]
        seconds: dict[str, float] = {}
        for item in times(run_dir):
            seconds[item.kind] = seconds.get(item.kind, 0.0) + item.share
        results = measure(
            self.sources,
            run_dir / "labels",
            {
                source.name: [folder / "evaluations" / source.name for folder in folders]
                for source in self.sources
            },
            seeds=seeds,
            k=self.k,
            threshold=THRESHOLD,
            seconds=seconds,
        )
        return lessons_report(
            results,
            is_quick=is_quick,
            num_updates=self.num_updates,
            num_seeds=self.num_seeds,
        )

    def _label_stages(self, run_dir: Path) -> Iterator[Stage]:
        labels, sources = run_dir / "labels", run_dir / "sources"
        yield Stage(
            kind="label",
            name="label responses",
            output=labels / RESULTS,
            work=[
                *("label", *self.label, "label=consensus"),
                "label.monte_carlo.order=stop_at_first_error",
                "label.monte_carlo.labels=soft",
                f"label.monte_carlo.num_rollouts={self.num_rollouts}",
                "data.split=train",
                f"data.num_problems={self.num_problems}",
                f"data.seed={_FIRST_DATA_SEED}",
                f"num_responses={self.num_responses}",
                f"run_dir={_quoted(labels)}",
            ],
        )
        yield Stage(
            kind="sources",
            name="compute the labels of each source",
            output=sources,
            work=partial(write_sources, labels, self.sources, sources),
        )

    def _sample_stage(self, seed: int, folder: Path) -> Stage:
        return Stage(
            kind="sample",
            name=f"seed {seed} sample test solutions",
            output=folder / "samples" / RESULTS,
            work=[
                *("search", *self.search, "search=majority"),
                f"search.num_samples={self.num_samples}",
                "data.split=test",
                f"data.num_problems={self.num_test_problems}",
                f"data.seed={_FIRST_DATA_SEED + seed}",
                f"seed={seed}",
                f"run_dir={_quoted(folder / 'samples')}",
            ],
        )

    def _training_stages(self, seed: int, run_dir: Path) -> Iterator[Stage]:
        for source in self.sources:
            training = run_dir / f"seed-{seed}" / "trainings" / source.name
            yield Stage(
                kind="train",
                name=f"seed {seed} train {source.name}",
                output=training / source.name,
                work=[
                    *("train-prm", *self.train),
                    f"data.path={_quoted(run_dir / 'sources' / f'{source.name}.jsonl')}",
                    f"objective.loss={source.loss}",
                    f"trainer.optimizer.num_steps={self.num_updates}",
                    f"trainer.checkpoint_every={self.num_updates}",
                    "trainer.max_checkpoints=1",
                    f"seed={seed}",
                    f"run_dir={_quoted(training)}",
                    f"model_dir={_quoted(training / source.name)}",
                ],
                group="train",
            )

    def _evaluation_stages(self, seed: int, folder: Path) -> Iterator[Stage]:
        for source in self.sources:
            model = folder / "trainings" / source.name / source.name
            evaluation = folder / "evaluations" / source.name
            yield Stage(
                kind="evaluate",
                name=f"seed {seed} evaluate {source.name}",
                output=evaluation / RESULTS,
                work=[
                    *("evaluate", *self.evaluate, "benchmark=bias", "subject=prm"),
                    f"benchmark.run_dir={_quoted(folder / 'samples')}",
                    f"prm.model={_quoted(model)}",
                    f"threshold={THRESHOLD}",
                    f"seed={seed}",
                    f"run_dir={_quoted(evaluation)}",
                ],
                group="evaluate",
            )


def _quoted(path: Path) -> str:
    """A path as the value of an override."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"

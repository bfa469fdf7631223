"""The card of a trained R-PRM: what it is, what it learned from, how good it is, how to use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.bootstrapping.bootstrap_totals import BootstrapTotals
from prm_search.bootstrapping.rows import LabeledRow
from prm_search.bootstrapping.settings import Stage
from prm_search.prms.rprm import RPrm
from prm_search.prms.sandbox_rprm import SandboxRPrm
from trainers.model_card import card_table, package_versions
from trainers.rprm_finetuning import Outcome
from trainers.rprm_job import TrainRPrm
from trainers.rprm_scores import VerdictScore
from trainers.rprm_settings import Finetuning, PreferenceTuning

_MEASURES = {
    "loss": "loss",
    "mean_token_accuracy": "token accuracy",
    "rewards/accuracies": "pairs in which the better analysis gains more",
    "rewards/margins": "mean margin of the rewards",
}
"""What is quoted of a validation, by TRL's names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnedRows:
    """What a training learned from."""

    train: Sequence[LabeledRow]
    validation: Sequence[LabeledRow]
    num_left_out: int
    """Rows that are too long."""
    totals: BootstrapTotals
    """Of the analyses that the rows were taken from."""
    teacher: str
    """The model that wrote them."""


def rprm_card(
    job: TrainRPrm,
    stage: Stage,
    rows: LearnedRows,
    outcome: Outcome,
    verdicts: VerdictScore | None,
) -> str:
    """The card, in Markdown with the metadata that the Hugging Face Hub reads."""
    settings: Finetuning = job.dpo if stage is Stage.dpo else job.sft
    wrong, right = job.analysis.family.verdicts
    what = "pairs" if stage is Stage.dpo else "analyses"
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            f"base_model: {job.model}",
            "tags: [process-reward-model, generative-reward-model, prm-search]",
            "---",
            "",
            f"# R-PRM ({stage})",
            "",
            f"Trained from `{job.model}` with prm-search, after R-PRM (arXiv 2503.21295). It is "
            "asked about one step of a solution, writes an analysis, and ends in "
            f"`{right.strip()}` or `{wrong.strip()}`. P(step is right) is the probability of the "
            "first against the second, averaged over several analyses.",
            "",
            "## Data",
            "",
            *card_table(
                {
                    "labels": f"`{job.data.path}` ({job.data.format})",
                    "analyses by": rows.teacher,
                    "steps analysed": f"{rows.totals.num_steps:,}",
                    "of the analyses": rows.totals.describe_outcomes(),
                    f"{what} learned": _balance(rows.train),
                    f"{what} for validation, of other problems": _balance(rows.validation),
                    "left out, too long": f"{rows.num_left_out:,}",
                }
            ),
            "",
            "Nothing is learned from steps after the first wrong one.",
            "",
            "## Training",
            "",
            *card_table(_training(job, settings, outcome)),
            "",
            "## Scores",
            "",
            *_scores(outcome, verdicts),
            "",
            "## Use",
            "",
            "    vllm serve …",
            f"    prm-search search {_chosen(job)} prm.model=… …",
            "",
            "## Versions",
            "",
            *card_table(package_versions("trl")),
            "",
        ]
    )


def _chosen(job: TrainRPrm) -> str:
    """What a command line says to score with this family."""
    family = type(job.analysis.family)
    if family is SandboxRPrm:
        chosen = "prm=sandbox_rprm"
    elif family is RPrm:
        chosen = "prm=rprm"
    else:
        chosen = f"prm=rprm prm.family._target_={family.__module__}.{family.__qualname__}"
    if job.system_prompt is not None:
        chosen += f" 'prm.system_prompt=\"{job.system_prompt}\"'"
    return chosen


def _training(job: TrainRPrm, settings: Finetuning, outcome: Outcome) -> dict[str, str]:
    loss = "not known" if outcome.loss is None else f"{outcome.loss:.4f} at the end"
    beta = {"beta": f"{settings.beta:g}"} if isinstance(settings, PreferenceTuning) else {}
    optimizer = settings.optimizer
    return {
        "loss": f"{'DPO' if beta else 'cross-entropy of the analyses'}, {loss}",
        **beta,
        "updates": f"{outcome.num_steps:,} of {settings.rows_per_step:,} rows",
        "optimizer": f"{optimizer.name}, learning rate {optimizer.learning_rate:g}",
        "precision": str(settings.precision),
        "LoRA rank": str(settings.lora.rank or "none: all weights"),
        "weights": "of the lowest validation loss" if settings.keeps_best else "of the last update",
        "seed": str(job.seed),
    }


def _balance(rows: Sequence[LabeledRow]) -> str:
    num_right = sum(row.is_right for row in rows)
    return f"{len(rows):,}: {num_right:,} of right and {len(rows) - num_right:,} of wrong steps"


def _scores(outcome: Outcome, verdicts: VerdictScore | None) -> list[str]:
    rows = {
        title: f"{outcome.validation[name]:.4f}"
        for name, title in _MEASURES.items()
        if name in outcome.validation
    }
    if verdicts is not None:
        for kind, hits, count in (
            ("right", verdicts.num_hits_right, verdicts.num_right),
            ("wrong", verdicts.num_hits_wrong, verdicts.num_wrong),
        ):
            if count:
                rows[f"verdicts that are true of {kind} steps"] = f"{hits / count:.3f} (n={count})"
        rows["analyses without a verdict"] = str(verdicts.num_unreadable)
    if not rows:
        return ["Not evaluated."]
    return [
        "On validation steps, with one greedy analysis each where there are verdicts.",
        "",
        *card_table(rows),
    ]

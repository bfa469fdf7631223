"""The card of a trained PRM: what it is, what it learned from, how good it is, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from prm_search.evaluation.first_error import FirstErrorScore
from prm_search.prms.family import VerdictFamily
from trainers.prm_examples import Facts
from trainers.prm_job import TrainPrm

_PACKAGES = ("prm-search", "torch", "transformers", "accelerate", "deepspeed", "peft")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a training."""

    num_steps: int
    """Updates."""
    loss: float
    """Mean of the last updates."""
    score: FirstErrorScore | None
    """On held-out solutions, if there are any."""


def model_card(job: TrainPrm, facts: Facts, outcome: Outcome) -> str:
    """The card, in Markdown with the metadata that the Hugging Face Hub reads."""
    is_token = isinstance(job.family, VerdictFamily)
    task = "text-generation" if is_token else "token-classification"
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            f"pipeline_tag: {task}",
            f"base_model: {job.model}",
            "tags: [process-reward-model, prm-search]",
            "---",
            "",
            "# Process reward model",
            "",
            f"Trained from `{job.model}` with prm-search. It gives P(step is right) for each step "
            + (
                "of a solution, as the probability of its next token being "
                f"`{getattr(job.family, 'right', '')}` rather than "
                f"`{getattr(job.family, 'wrong', '')}` after the tag of the step."
                if is_token
                else "of a solution, at the tag after the step."
            ),
            "",
            "## Data",
            "",
            *card_table(
                {
                    "files": f"`{job.data.path}` ({job.data.format})",
                    "solutions": f"{facts.num_solutions:,} ({facts.num_set_aside:,} left out)",
                    "labeled steps": f"{facts.num_steps:,}, of them {facts.num_wrong:,} wrong",
                    "tokens": f"{facts.num_tokens:,}",
                    "labels from": ", ".join(
                        f"{source} {count:,}" for source, count in facts.sources.items()
                    ),
                }
            ),
            "",
            "Nothing is learned from steps after the first wrong one.",
            "",
            "## Training",
            "",
            *card_table(
                {
                    "loss": f"{job.objective.loss}, {outcome.loss:.4f} at the end",
                    "weights of wrong and right steps": (
                        f"{job.objective.wrong_weight:g} and {job.objective.right_weight:g}"
                    ),
                    "updates": f"{outcome.num_steps:,} of {job.trainer.tokens_per_step:,} tokens",
                    "optimizer": (
                        f"{job.trainer.optimizer.name}, learning rate "
                        f"{job.trainer.optimizer.learning_rate:g}"
                    ),
                    "precision": str(job.trainer.precision),
                    "LoRA rank": str(job.trainer.lora.rank or "none: all weights"),
                    "seed": str(job.seed),
                }
            ),
            "",
            "## Scores",
            "",
            *_scores(job, outcome.score),
            "",
            "## Use",
            "",
            *_use(job),
            "",
            "## Versions",
            "",
            *card_table(package_versions()),
            "",
        ]
    )


def _scores(job: TrainPrm, score: FirstErrorScore | None) -> Sequence[str]:
    if score is None:
        return [f"Not evaluated. Declared threshold: {job.threshold:g}."]
    return [
        f"The first step that scores below {job.threshold:g} is taken for the first error, on "
        f"`{job.held_out.path}`. F1 is the harmonic mean of the two accuracies, as ProcessBench "
        "defines it.",
        "",
        *card_table(
            {
                "threshold": f"{job.threshold:g}",
                "error accuracy": f"{score.error_accuracy:.3f} (n={score.num_errors})",
                "correct accuracy": f"{score.correct_accuracy:.3f} (n={score.num_correct})",
                "F1": f"{score.f1:.3f}",
            }
        ),
    ]


def _use(job: TrainPrm) -> Sequence[str]:
    family = type(job.family)
    system_prompt = (
        "" if job.system_prompt is None else f" 'prm.system_prompt=\"{job.system_prompt}\"'"
    )
    if isinstance(job.family, VerdictFamily):
        settings = " ".join(
            f"'prm.family.{name}=\"{getattr(job.family, name)}\"'"
            for name in ("tag", "right", "wrong")
            if hasattr(job.family, name)
        )
        target = f"prm.family._target_={family.__module__}.{family.__qualname__}"
        return [
            f"    prm-search search prm=verdict_tokens prm.model=… {target} {settings}"
            f"{system_prompt} …"
        ]
    tag = getattr(job.family, "step_tag", "")
    return [
        f"    prm-search search prm.model=… 'prm.family.step_tag=\"{tag}\"'{system_prompt} …",
        "    vllm serve … --runner pooling",
        "",
        f"Each step is stripped of the white space around it and followed by `{tag}`, after the "
        "chat template's question.",
    ]


def card_table(rows: Mapping[str, str]) -> list[str]:
    """Names and values as a table in Markdown."""
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def package_versions(*further: str) -> dict[str, str]:
    """The versions of what trains, and of further packages, if they are installed."""
    found: dict[str, str] = {}
    for name in (*_PACKAGES, *further):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

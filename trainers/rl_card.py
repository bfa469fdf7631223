"""The card of a trained policy: what it is, what it was rewarded with, what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainers.rl_job import TrainRl


def policy_card(job: TrainRl, result: Mapping[str, Any]) -> str:
    """The card, in Markdown with the metadata that the Hugging Face Hub reads."""
    settings = job.trainer
    rows = {
        "updates": f"{result['updates']:,}",
        "rollouts of an update": f"{settings.problems_per_update} problems × "
        f"{settings.rollouts_per_problem}",
        "generated tokens": f"{result['generated_tokens']:,}",
        "credit": f"`{job.credit}`",
        "reward": f"`{job.reward}`",
        "loss": f"{settings.loss}, learning rate {settings.optimizer.learning_rate:g}, "
        f"KL weight {settings.kl_weight:g}",
        "seed": str(job.seed),
        "onset of reward hacking": "none was noticed"
        if result["hack_onset"] is None
        else f"update {result['hack_onset']}",
    }
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            f"base_model: {job.policy.model}",
            "tags: [reinforcement-learning, process-reward-model, prm-search]",
            "---",
            "",
            "# Policy trained with step credit",
            "",
            f"Trained from `{job.policy.model}` with prm-search: GRPO, with advantages of tokens "
            "from the rewards of their steps.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in rows.items()),
            "",
            *_evaluation(result),
        ]
    )


def _evaluation(result: Mapping[str, Any]) -> list[str]:
    before, after = result["before"], result["after"]
    if not before or not after:
        return []
    names = [name for name in after if name.startswith("held_out_") and name in before]
    return [
        "## Held-out problems",
        "",
        "| | before | after |",
        "|---|---|---|",
        *(
            f"| {name.removeprefix('held_out_').replace('_', ' ')} | {before[name]:.3f} "
            f"| {after[name]:.3f} |"
            for name in names
        ),
        "",
    ]

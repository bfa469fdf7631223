"""The settings of RL, as TRL has them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.trainer.grpo_config import GRPOConfig

from prm_search.seeds import derive_seed
from trainers.prm_settings import Precision, Tracker
from trainers.processes import be_a_process_group
from trainers.rl_job import TrainRl

_CHECKPOINTS = "checkpoints"
_PATTERN = f"{PREFIX_CHECKPOINT_DIR}-[0-9]*"
_STATE = "trainer_state.json"
"""What a checkpoint has that was written to its end."""


def grpo_arguments(job: TrainRl) -> GRPOConfig:
    """TRL's settings.

    One generation for each update, and an order of the problems that is not changed.
    """
    # TRL warns that `rollout_func` may change; its version is pinned.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    settings, optimizer = job.trainer, job.trainer.optimizer
    num_processes = max(1, settings.ray.num_workers)
    num_forwards = settings.rollouts_per_update // (num_processes * settings.rollouts_per_forward)
    is_cpu = not torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(Path(job.run_dir) / _CHECKPOINTS),
        max_steps=settings.num_updates,
        per_device_train_batch_size=settings.rollouts_per_forward,
        gradient_accumulation_steps=num_forwards,
        num_generations=settings.rollouts_per_problem,
        max_completion_length=job.policy.max_tokens,
        temperature=job.policy.temperature,
        shuffle_dataset=False,
        loss_type=str(settings.loss),
        beta=settings.kl_weight,
        scale_rewards="none",
        learning_rate=optimizer.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=optimizer.num_warmup_updates,
        weight_decay=optimizer.weight_decay,
        adam_beta1=optimizer.beta1,
        adam_beta2=optimizer.beta2,
        max_grad_norm=optimizer.max_gradient_norm,
        optim="adamw_torch_fused",
        use_cpu=is_cpu,
        bf16=settings.precision is Precision.bfloat16,
        gradient_checkpointing=settings.gradient_checkpointing,
        model_init_kwargs={"dtype": "float32"},
        deepspeed=_deepspeed(job) if settings.zero_stage else None,
        logging_steps=1,
        save_strategy="steps",
        save_steps=settings.checkpoint_every,
        save_total_limit=settings.max_checkpoints,
        report_to=[] if settings.report_to is Tracker.none else [str(settings.report_to)],
        disable_tqdm=True,
        seed=derive_seed(job.seed, "trainer"),
    )


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None if there is none."""
    found = [path for path in (run_dir / _CHECKPOINTS).glob(_PATTERN) if _is_complete(path)]
    return max(found, key=num_updates, default=None)


def num_updates(checkpoint: Path | None) -> int:
    """Updates up to a checkpoint; 0 if there is none."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _STATE).read_text())
    except (OSError, ValueError):
        return False
    return True


def _deepspeed(job: TrainRl) -> dict[str, Any]:
    settings = job.trainer
    be_a_process_group()
    return {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
        "zero_optimization": {
            "stage": settings.zero_stage,
            "stage3_gather_16bit_weights_on_model_save": settings.zero_stage == 3,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 1 << 40,
    }

"""The processes of a training: one, or those of torchrun or Ray Train, with or without ZeRO."""

from __future__ import annotations

import os
import socket
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DeepSpeedPlugin

from prm_search.errors import ConfigurationError
from trainers.metrics import tracker_names
from trainers.prm_settings import Precision, Trainer


def make_accelerator(trainer: Trainer, run_dir: str) -> Accelerator:
    """What knows the processes, the device and the precision.

    Raises:
        ConfigurationError: if something that is asked for is not installed.
    """
    trackers = tracker_names(trainer.report_to)
    # An earlier training of this process may have had another precision.
    AcceleratorState._reset_state(reset_partial_state=False)
    is_cpu = not torch.cuda.is_available()
    if is_cpu and trainer.zero_stage:
        # Asked for both, Accelerate takes DeepSpeed for a matter of GPUs. So the processes are
        # found first, and DeepSpeed comes after.
        PartialState(cpu=True)
    return Accelerator(
        cpu=is_cpu and not trainer.zero_stage,
        mixed_precision="bf16" if trainer.precision is Precision.bfloat16 else "no",
        deepspeed_plugin=_deepspeed(trainer) if trainer.zero_stage else None,
        log_with=list[Any](trackers) or None,
        project_dir=run_dir,
    )


def be_a_process_group() -> None:
    """Set what DeepSpeed needs: it wants a process group, be it of one process."""
    if "RANK" not in os.environ:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        os.environ |= {
            "RANK": "0",
            "LOCAL_RANK": "0",
            "WORLD_SIZE": "1",
            "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(port),
        }


def _deepspeed(trainer: Trainer) -> DeepSpeedPlugin:
    be_a_process_group()
    config: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": trainer.optimizer.max_gradient_norm,
        "bf16": {"enabled": trainer.precision is Precision.bfloat16},
        "zero_optimization": {
            "stage": trainer.zero_stage,
            "stage3_gather_16bit_weights_on_model_save": trainer.zero_stage == 3,
        },
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 1 << 40,
    }
    try:
        return DeepSpeedPlugin(hf_ds_config=config)
    except ImportError as error:
        raise ConfigurationError(
            "trainer.zero_stage needs DeepSpeed; pip install 'prm-search[train]'"
        ) from error

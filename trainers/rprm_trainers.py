"""TRL's SFT and DPO trainers, with the optimizers and rates that PRMs are trained with, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from datasets import Dataset
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_trainer import SFTTrainer

from trainers.optimizers import make_optimizers
from trainers.prm_settings import Optimizer


class OptimizerGroup(torch.optim.Optimizer):
    """Several optimizers, each with weights of its own, as one."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = list(optimizers)
        super().__init__(self._all_groups(), {})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all weights."""
        if closure is not None:
            closure()
        for optimizer in self._optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of all of them."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self._optimizers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with such states."""
        for optimizer, state in zip(self._optimizers, state_dict["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.param_groups = self._all_groups()

    def _all_groups(self) -> list[dict[str, Any]]:
        """The groups themselves, so that a rate that is set here counts there."""
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]


class _OwnOptimizer(Trainer):
    """Updates weights, and sets rates, as `Optimizer` says."""

    own: Optimizer

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Made after adapters have been added to the model."""
        if self.optimizer is None:
            optimizers = make_optimizers(cast("nn.Module", model or self.model), self.own)
            self.optimizer = optimizers[0] if len(optimizers) == 1 else OptimizerGroup(optimizers)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LambdaLR:
        """The rate of each update, as a share of the highest one."""
        if self.lr_scheduler is None:
            chosen = optimizer or self.optimizer
            assert chosen is not None
            self.lr_scheduler = LambdaLR(
                chosen,
                lambda step: (
                    self.own.rate(min(step + 1, num_training_steps), num_training_steps)
                    / self.own.learning_rate
                ),
            )
        return self.lr_scheduler


class AnalysisTrainer(_OwnOptimizer, SFTTrainer):
    """SFT."""

    def __init__(self, own: Optimizer, **arguments: Any) -> None:
        self.own = own
        super().__init__(**arguments)


class PairTrainer(_OwnOptimizer, DPOTrainer):
    """DPO on rows that are tokens already."""

    def __init__(self, own: Optimizer, **arguments: Any) -> None:
        self.own = own
        super().__init__(**arguments)

    def _prepare_dataset(self, dataset: Dataset, *others: Any, **named: Any) -> Dataset:
        return dataset

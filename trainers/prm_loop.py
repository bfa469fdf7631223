"""The training loop of PRMs.

    batch of an update -> packs -> forward, loss -> backward -> (all packs) -> optimizer

The loss is the weighted mean over all labeled steps of the batch, wherever they are computed. So
the curve does not depend on how many processes there are, but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from accelerate import Accelerator
from torch import nn

from prm_search.errors import TrainingError
from prm_search.seeds import derive_seed
from trainers.losses import summed_loss, weights_of
from trainers.optimizers import set_rate
from trainers.packing import Example, epoch_batches, make_pack, split_batch
from trainers.prm_settings import Objective, Trainer


class Batches:
    """The batch of each update; it depends on nothing but the examples and the seed."""

    def __init__(self, examples: Sequence[Example], *, tokens_per_step: int, seed: int) -> None:
        self._lengths = [len(example.token_ids) for example in examples]
        self._tokens_per_step = tokens_per_step
        self._seed = seed
        self._epochs: list[list[list[int]]] = []
        self._num_batches = 0

    def num_steps(self, num_epochs: float) -> int:
        """Updates in some epochs."""
        whole = math.floor(num_epochs)
        while len(self._epochs) < whole + 1:
            self._add_epoch()
        rest = math.ceil((num_epochs - whole) * len(self._epochs[whole]))
        return sum(map(len, self._epochs[:whole])) + rest

    def __call__(self, step: int) -> list[int]:
        """Indices of the examples of a 1-based update."""
        while self._num_batches < step:
            self._add_epoch()
        index = step - 1
        for batches in self._epochs:
            if index < len(batches):
                return batches[index]
            index -= len(batches)
        raise AssertionError("there are as many batches as updates")

    def _add_epoch(self) -> None:
        batches = epoch_batches(
            self._lengths,
            tokens_per_step=self._tokens_per_step,
            seed=self._seed,
            epoch=len(self._epochs),
        )
        self._epochs.append(batches)
        self._num_batches += len(batches)


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """What came of an update."""

    step: int
    """1-based."""
    loss: float
    learning_rate: float
    num_tokens: int
    """Over all processes."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Everything that an update needs."""

    model: nn.Module
    """Prepared by the accelerator; takes what StepModel.forward takes."""
    optimizers: Sequence[torch.optim.Optimizer]
    accelerator: Accelerator
    examples: Sequence[Example]
    batches: Batches
    objective: Objective
    trainer: Trainer
    num_steps: int
    seed: int

    def run(self, *, first: int, after: Callable[[Update], bool]) -> None:
        """Train.

        Args:
            first: 1-based update to begin with.
            after: called after each update; False ends the training.

        Raises:
            TrainingError: if the loss or a gradient is not finite. The weights are left as they
                were before that update.
        """
        self.model.train()
        for step in range(first, self.num_steps + 1):
            if not after(self._update(step)):
                return

    def _update(self, step: int) -> Update:
        accelerator = self.accelerator
        rate = self.trainer.optimizer.rate(step, self.num_steps)
        set_rate(self.optimizers, rate)
        torch.manual_seed(derive_seed(self.seed, "step", step, accelerator.process_index))
        batch = self.batches(step)
        lengths = [len(example.token_ids) for example in self.examples]
        packs = split_batch(
            batch,
            lengths,
            tokens_per_pack=self.trainer.tokens_per_pack,
            num_processes=accelerator.num_processes,
        )
        values = torch.tensor([value for i in batch for value in self.examples[i].values])
        total_weight = weights_of(values, self.objective).sum().item()
        loss_so_far = torch.zeros((), device=accelerator.device)
        loss = math.nan
        for number, row in enumerate(packs, start=1):
            is_last = number == len(packs)
            with self._accumulating(is_last):
                part = self._loss(row[accelerator.process_index]) / total_weight
                loss_so_far = loss_so_far + part.detach().float()
                if is_last:
                    loss = self._finite(step, "loss", self._summed(loss_so_far))
                # Processes take the mean of their gradients, but the loss is their sum.
                accelerator.backward(part * accelerator.num_processes)
        if not self._is_deepspeed:  # whose engine has done this within backward
            norm = accelerator.clip_grad_norm_(
                self.model.parameters(), self.trainer.optimizer.max_gradient_norm
            )
            assert norm is not None
            self._finite(step, "gradient", norm)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return Update(
            step=step,
            loss=loss,
            learning_rate=rate,
            num_tokens=sum(lengths[index] for index in batch),
        )

    @property
    def _is_deepspeed(self) -> bool:
        return bool(self.trainer.zero_stage)

    def _accumulating(self, is_last: bool) -> AbstractContextManager[object]:
        if self._is_deepspeed:
            self.accelerator.sync_gradients = is_last
            return nullcontext()
        return nullcontext() if is_last else self.accelerator.no_sync(self.model)

    def _loss(self, indices: Sequence[int]) -> torch.Tensor:
        """The summed loss of a pack."""
        # A process without examples takes part all the same, with one that does not count.
        examples = [self.examples[index] for index in indices or [0]]
        pack = make_pack(examples).to(self.accelerator.device)
        logits = self.model(pack.token_ids, pack.position_ids, pack.lengths, pack.positions)
        loss = summed_loss(logits.float(), pack.values, self.objective)
        return loss if indices else loss * 0

    def _summed(self, value: torch.Tensor) -> torch.Tensor:
        return cast("torch.Tensor", self.accelerator.reduce(value, reduction="sum"))

    def _finite(self, step: int, what: str, value: torch.Tensor) -> float:
        number = value.item()
        if not math.isfinite(number):
            raise TrainingError(
                f"the {what} of update {step} is {number}; stopped. Lower "
                "trainer.optimizer.learning_rate, or look at the data of this update; what was "
                "trained up to the last checkpoint is kept"
            )
        return number

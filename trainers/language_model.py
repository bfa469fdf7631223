"""Training of small causal language models on prompts and responses.

    sample batch (one length class) -> forward (bf16) -> loss on the response -> Muon / AdamW

Made for models of a few million parameters, on two CPU cores or one CUDA device. Matrices are
updated by Muon, which learns the sandbox's look-ups in a fraction of AdamW's steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.progress import TrainingProgress

IGNORE = -100

Batch = tuple[Tensor, Tensor]
"""Token ids [batch, length] and labels [batch, length] (IGNORE where there is no loss)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSettings:
    """How a model is updated."""

    learning_rate: float = 3e-3
    """Peak learning rate, reached after the warm-up."""
    num_steps: int = 1500
    num_warmup_steps: int = 50
    decay_share: float = 0.5
    """Share in [0, 1] of the steps, at the end, over which the rate falls to zero."""
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0

    def rate(self, step: int) -> float:
        """Learning rate at a 1-based step: linear warm-up, constant, linear decay."""
        warm = min(1.0, step / max(1, self.num_warmup_steps))
        left = (self.num_steps - step + 1) / max(1.0, self.decay_share * self.num_steps)
        return self.learning_rate * warm * min(1.0, left)


def pad(sequences: Sequence[tuple[Sequence[int], int]], pad_id: int, device: torch.device) -> Batch:
    """Pad token sequences to one length.

    Args:
        sequences: (token ids, number of prompt tokens); prompt tokens carry no loss.
    """
    longest = max(len(ids) for ids, _ in sequences)
    tokens = torch.full((len(sequences), longest), pad_id)
    labels = torch.full((len(sequences), longest), IGNORE)
    for row, (ids, num_prompt_tokens) in enumerate(sequences):
        tokens[row, : len(ids)] = torch.tensor(ids)
        labels[row, num_prompt_tokens : len(ids)] = torch.tensor(ids[num_prompt_tokens:])
    return tokens.to(device), labels.to(device)


def make_optimizers(model: nn.Module, settings: OptimizerSettings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the model, AdamW for embeddings, biases and norms."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named if p.ndim != 2 or "embed" in name]
    rate, decay = settings.learning_rate, settings.weight_decay
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def train(
    model: nn.Module,
    *,
    loss_of: Callable[[int], Tensor],
    settings: OptimizerSettings,
    description: str,
    on_step: Callable[[int, float], None] | None = None,
) -> None:
    """Run the training loop.

    Args:
        loss_of: gives the loss of the batch of a 1-based step; called under bf16 autocast.
        description: shown beside the progress bar.
        on_step: called after each step with the step and the loss.

    Raises:
        FloatingPointError: if the loss is not finite; the model is left as it was before.
    """
    optimizers = make_optimizers(model, settings)
    device = next(model.parameters()).device
    model.train()
    with TrainingProgress(description, num_steps=settings.num_steps) as progress:
        for step in range(1, settings.num_steps + 1):
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = settings.rate(step)
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(step)
            value = loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss of step {step} is {value}; stopped")
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            progress.advance(step, value)
            if on_step is not None:
                on_step(step, value)
    model.eval()


def response_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy of the response tokens; logits are computed only where they count."""
    tokens, labels = batch
    hidden = model.model(tokens).last_hidden_state[:, :-1]  # type: ignore[operator, union-attr]
    targets = labels[:, 1:]
    counted = targets != IGNORE
    logits = model.lm_head(hidden[counted])  # type: ignore[operator]
    return nn.functional.cross_entropy(logits.float(), targets[counted])

"""StepGRPOTrainer without padding: rollouts of different lengths are computed as one row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.packed_attention import use_packed_attention
from trainers.packing import filler_lengths
from trainers.step_grpo import PREFIX, StepGRPOTrainer

_IGNORE = -100
_TOKENS = 512
"""On CPU a pack has a multiple of so many."""


class PackedGRPOTrainer(StepGRPOTrainer):
    """Computes the probabilities of tokens on packs, without padding the rollouts.

    Short and long answers stand side by side in a batch: where padding is computed too, it is
    often as much as the rest.
    """

    def __init__(self, model: Any, **options: Any) -> None:
        """Take what `StepGRPOTrainer` takes.

        Raises:
            ConfigurationError: if the model's attention cannot be packed.
        """
        self._logps: Tensor | None = None
        super().__init__(model, **options)
        models: list[Any] = [self.model, self.ref_model]
        for used in models:
            if used is not None:
                unwrapped: Any = self.accelerator.unwrap_model(used)
                use_packed_attention(unwrapped)

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Log probabilities, and entropies if asked for, of the last tokens of each row.

        Args:
            model: as the accelerator prepared it.
            input_ids: [num_rows, num_tokens], padded on both sides.
            attention_mask: of the same shape; 0 on padding.
            logits_to_keep: tokens at the end of each row that count.
            batch_size: rows of a pack; None means all.
            compute_entropy: whether entropies are wanted.
            others: what other kinds of models need. Not looked at.
        """
        size = batch_size or len(input_ids)
        parts = [
            self._pack(model, ids, mask, logits_to_keep)
            for ids, mask in zip(input_ids.split(size), attention_mask.split(size), strict=True)
        ]
        logps = torch.cat([part[0] for part in parts])
        self._logps = logps.detach()
        entropies = torch.cat([part[1] for part in parts]) if compute_entropy else None
        return logps, entropies, None

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        loss = super()._compute_loss(model, inputs)
        sampled: Tensor | None = inputs.get("sampling_per_token_logps")
        if sampled is not None and self._logps is not None:
            # Where the engine does not compute what the trainer does, something is wrong.
            known = inputs["completion_mask"].bool() & ~sampled.isnan()
            if known.any():
                gap = (self._logps - sampled)[known].abs().mean()
                self._metrics["train"][f"{PREFIX}logprob_gap"].append(gap.item())
        return loss

    def _pack(
        self, model: nn.Module, input_ids: Tensor, mask: Tensor, logits_to_keep: int
    ) -> tuple[Tensor, Tensor]:
        kept = mask.bool()
        lengths: list[int] = kept.sum(1).tolist()
        labels = input_ids.masked_fill(~kept, _IGNORE)
        labels[:, :-logits_to_keep] = _IGNORE
        fillers = [] if input_ids.is_cuda else filler_lengths(lengths, multiple=_TOKENS)
        num_fillers = sum(fillers)
        positions = torch.cat([torch.arange(length) for length in (*lengths, *fillers)])
        with self.accelerator.autocast():
            output = model(
                input_ids=functional.pad(input_ids[kept], (0, num_fillers))[None],
                position_ids=positions.to(input_ids.device)[None],
                lengths=[*lengths, *fillers],
                labels=functional.pad(labels[kept], (0, num_fillers), value=_IGNORE)[None],
                fused_lm_head=True,
            )
        num_tokens = sum(lengths)
        return (
            _unpack(output.log_probs[:, : num_tokens - 1], kept)[:, -logits_to_keep:],
            _unpack(output.entropy[:, : num_tokens - 1], kept)[:, -logits_to_keep:],
        )


def _unpack(values: Tensor, kept: Tensor) -> Tensor:
    """Values of a pack's tokens but the first, at their places in the rows; 0 elsewhere.

    Args:
        values: [1, num_kept - 1]
        kept: [num_rows, num_tokens]
    """
    placed = values.new_zeros(kept.shape)
    places = kept.flatten().nonzero()[1:, 0]
    return placed.flatten().index_put((places,), values[0]).view(kept.shape)

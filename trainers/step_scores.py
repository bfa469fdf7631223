"""Scores of a PRM that is being trained, and how well they find first errors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from prm_search.evaluation.first_error import (
    FirstErrorScore,
    predicted_first_error,
    score_first_errors,
)
from prm_search.types import StepScores
from trainers.packing import Example, make_pack, split_batch


@torch.no_grad()
def score_examples(
    model: nn.Module, examples: Sequence[Example], *, accelerator: Accelerator, tokens_per_pack: int
) -> list[StepScores]:
    """P(right) at every step of each example, computed by all processes together.

    Args:
        model: takes what StepModel.forward takes.
        examples: at least one.
        accelerator: knows the processes.
        tokens_per_pack: tokens of a forward at most.
    """
    was_training = model.training
    model.eval()
    packs = split_batch(
        range(len(examples)),
        [len(example.token_ids) for example in examples],
        tokens_per_pack=tokens_per_pack,
        num_processes=accelerator.num_processes,
    )
    scored: list[tuple[int, tuple[float, ...]]] = []
    for row in packs:
        # All processes have to take part in every forward, be it with an example of no interest.
        indices = row[accelerator.process_index] or [0]
        pack = make_pack([examples[index] for index in indices]).to(accelerator.device)
        logits = model(pack.token_ids, pack.position_ids, pack.lengths, pack.positions)
        values = logits.float().softmax(-1)[:, 1].tolist()
        for index in indices:
            num_scores = len(examples[index].positions)
            scored.append((index, tuple(values[:num_scores])))
            values = values[num_scores:]
    model.train(was_training)
    by_index: dict[int, tuple[float, ...]] = dict(gather_object(scored))
    return [StepScores(values=by_index[index]) for index in range(len(examples))]


def first_error_metrics(
    scores: Sequence[StepScores], truths: Sequence[int | None], threshold: float
) -> FirstErrorScore:
    """How well the first step below the threshold is the first error."""
    return score_first_errors([predicted_first_error(item, threshold) for item in scores], truths)

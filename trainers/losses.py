"""What is minimised at each labeled step."""

from __future__ import annotations

from torch import Tensor

from trainers.prm_settings import Loss, Objective


def summed_loss(logits: Tensor, values: Tensor, objective: Objective) -> Tensor:
    """The sum of the weighted losses of steps.

    Hard labels: cross-entropy. Soft labels: cross-entropy with the soft label, or the squared
    difference from P(right) (arXiv 2501.07301, section 2.2).

    Args:
        logits: of wrong and right. [num_steps, 2]
        values: P(right) to be learned. [num_steps]
        objective: loss and class weights.
    """
    if objective.loss is Loss.mse:
        losses = (logits.softmax(-1)[:, 1] - values).square()
    else:  # hard labels are soft ones at the ends
        log_wrong, log_right = logits.log_softmax(-1).unbind(-1)
        losses = -(values * log_right + (1 - values) * log_wrong)
    return (losses * weights_of(values, objective)).sum()


def weights_of(values: Tensor, objective: Objective) -> Tensor:
    """The weight of each step in the mean. [num_steps]"""
    return objective.right_weight * values + objective.wrong_weight * (1 - values)

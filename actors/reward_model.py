"""PRMs as transformers runs them: with a head of their own, or as language models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedModel

from actors.prm_head import load_head
from actors.transformers_model import LOADING, load_model
from actors.transformers_options import TransformersOptions
from prm_search.errors import EngineError


class RewardModel:
    """A backbone, and a head that gives a row of logits at each position.

    The head is one linear layer or several with ReLU between them (Qwen2.5-Math-PRM:
    `Linear, ReLU, Linear`). It is computed in float32, as vLLM does.
    """

    def __init__(self, backbone: PreTrainedModel, head: nn.Sequential) -> None:
        self.backbone = backbone
        self._head = head

    @classmethod
    def load(
        cls,
        model: str,
        *,
        dtype: str,
        options: TransformersOptions,
        verdicts: Sequence[int] | None = None,
    ) -> RewardModel:
        """Load backbone and head, from safetensors alone and without code of the model's own.

        Args:
            model: a folder or a name on the Hugging Face Hub.
            dtype: of the backbone.
            options: where it runs.
            verdicts: for a language model, the tokens whose rows of the output layer are the head.

        Raises:
            EngineError: naming the model, if it cannot be loaded or has no such head.
        """
        if verdicts is not None:
            language_model = load_model(AutoModelForCausalLM, model, dtype=dtype, options=options)
            head = _verdict_head(language_model, verdicts)
            return cls(cast("PreTrainedModel", language_model.base_model), head)
        backbone = load_model(AutoModel, model, dtype=dtype, options=options)
        with LOADING:
            head = load_head(model)
        return cls(backbone, head.to(backbone.device))

    @torch.inference_mode()
    def __call__(
        self, solutions: list[tuple[int, ...]], positions: list[list[int]]
    ) -> list[Tensor]:
        """Rows of logits.

        Args:
            solutions: [num_solutions] token ids.
            positions: [num_solutions, num_steps] where a row is wanted.

        Returns:
            On the CPU. [num_solutions] of [num_steps, num_outputs]
        """
        device = self.backbone.device
        longest = max(map(len, solutions))
        # Attention looks back only, so what is padded on the right changes nothing before it.
        ids = [list(solution) + [0] * (longest - len(solution)) for solution in solutions]
        hidden = self.backbone(torch.tensor(ids, device=device), use_cache=False).last_hidden_state
        rows = [index for index, wanted in enumerate(positions) for _ in wanted]
        columns = [position for wanted in positions for position in wanted]
        logits = self._head(hidden[rows, columns].float())
        return list(logits.cpu().split([len(wanted) for wanted in positions]))


def _verdict_head(model: PreTrainedModel, verdicts: Sequence[int]) -> nn.Sequential:
    """The rows of some tokens of a language model's output layer, in float32.

    Raises:
        EngineError: if the model does more to its logits than this layer does.
    """
    config = model.config.get_text_config()
    for name in ("final_logit_softcapping", "logits_scaling", "logit_scale"):
        if getattr(config, name, None) not in (None, 1.0):
            raise EngineError(f"{type(model).__name__} has {name}, which is not computed here")
    layer = model.get_output_embeddings()
    assert isinstance(layer, nn.Linear)
    rows = list(verdicts)
    head = nn.Linear(layer.in_features, len(rows), bias=layer.bias is not None)
    weights = {"weight": layer.weight[rows].float()}
    if layer.bias is not None:
        weights["bias"] = layer.bias[rows].float()
    head.load_state_dict(weights)
    return nn.Sequential(head.to(layer.weight.device))

"""PRMs as transformers runs them: with a head of their own, or as language models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCausalLM, DynamicCache, PreTrainedModel

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

    @property
    def keeps_states(self) -> bool:
        """Whether keys and values of a prefix say all that later tokens see of it."""
        config = self.backbone.config.get_text_config()
        kinds = getattr(config, "layer_types", None) or ["full_attention"]
        window = getattr(config, "sliding_window", None)
        is_windowed = bool(window) and getattr(config, "use_sliding_window", True)
        return set(kinds) == {"full_attention"} and not is_windowed

    @torch.inference_mode()
    def __call__(
        self,
        solutions: Sequence[Sequence[int]],
        positions: Sequence[Sequence[int]],
        *,
        prefixes: Sequence[Tensor | None] | None = None,
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Rows of logits.

        Args:
            solutions: [num_solutions] token ids, those of prefixes left out.
            positions: [num_solutions, num_steps] among these, where a row is wanted.
            prefixes: [num_solutions] keys and values of what comes before; None for nothing.
                [num_layers, 2, num_heads, num_tokens, head_size] each. Without the argument,
                no keys and values are kept.

        Returns:
            The rows, on the CPU, [num_solutions] of [num_steps, num_outputs]; and the keys and
            values of the solutions' own tokens, on the device, as views.
        """
        device = self.backbone.device
        longest = max(map(len, solutions))
        # Attention looks back only, so what is padded on the right changes nothing before it.
        ids = torch.tensor(
            [[*solution, *[0] * (longest - len(solution))] for solution in solutions], device=device
        )
        if prefixes is None:
            hidden = self.backbone(ids, use_cache=False).last_hidden_state
            states = None
        else:
            hidden, states = self._continue(ids, prefixes)
            states = [
                own[:, :, :, : len(solution)]
                for own, solution in zip(states.unbind(2), solutions, strict=True)
            ]
        rows = [index for index, wanted in enumerate(positions) for _ in wanted]
        columns = [position for wanted in positions for position in wanted]
        logits = self._head(hidden[rows, columns].float())
        return list(logits.cpu().split([len(wanted) for wanted in positions])), states

    def _continue(self, ids: Tensor, prefixes: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Hidden states of what comes after prefixes, and its keys and values.

        Args:
            ids: [num_solutions, num_tokens]
            prefixes: [num_solutions]

        Returns:
            [num_solutions, num_tokens, hidden_size], and
            [num_layers, 2, num_solutions, num_heads, num_tokens, head_size].
        """
        sizes = [0 if prefix is None else prefix.shape[3] for prefix in prefixes]
        longest, num_new = max(sizes), ids.shape[1]
        cache = DynamicCache()
        options: dict[str, Tensor] = {}
        if longest:
            for layer, (keys, values) in enumerate(_padded(prefixes, longest)):
                cache.update(keys, values, layer)
            starts = torch.tensor(sizes, device=ids.device)
            options["position_ids"] = starts[:, None] + torch.arange(num_new, device=ids.device)
            places = torch.arange(longest + num_new, device=ids.device)
            options["attention_mask"] = (places >= longest - starts[:, None]).long()
        output = self.backbone(ids, past_key_values=cache, use_cache=True, **options)
        states = torch.stack(
            [
                torch.stack([layer.keys[:, :, longest:], layer.values[:, :, longest:]])
                for layer in output.past_key_values.layers
            ]
        )
        return output.last_hidden_state, states


def _padded(prefixes: Sequence[Tensor | None], longest: int) -> Tensor:
    """Prefixes of one length, with zeros on the left.

    Returns:
        [num_layers, 2, num_solutions, num_heads, longest, head_size]
    """
    known = next(prefix for prefix in prefixes if prefix is not None)
    num_layers, two, num_heads, _, head_size = known.shape
    padded = known.new_zeros(num_layers, two, len(prefixes), num_heads, longest, head_size)
    for index, prefix in enumerate(prefixes):
        if prefix is not None:
            padded[:, :, index, :, longest - prefix.shape[3] :] = prefix
    return padded


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

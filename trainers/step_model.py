"""The two kinds of PRMs, as modules that give two logits at each place where a step is scored.

- *Head*: a two-class head on a backbone. For Qwen2 it is `Linear, ReLU, Linear`, which stock vLLM
  serves as `Qwen2ForProcessRewardModel`; for others it is a token classifier of Transformers.
- *Token*: a causal language model whose next token is a verdict; the logits of the two verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForTokenClassification,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.errors import ConfigurationError
from prm_search.prms.family import PrmFamily, VerdictFamily
from trainers.decoder_layers import convert_once, score_only_where_asked
from trainers.packed_attention import use_packed_attention
from trainers.packing import Pack, filler_lengths
from trainers.prm_settings import Lora

_HEADS = ("score", "classifier")
"""What Transformers calls the head of a token classifier."""
_TOKENS, _POSITIONS = 128, 32
"""On CPU a pack has multiples of so many."""


class Qwen2ForProcessRewardModel(Qwen2ForTokenClassification):
    """Qwen2 with the head Linear, ReLU, Linear to two classes (wrong, right) at every token."""

    def __init__(self, config: Qwen2Config) -> None:
        config.num_labels = 2
        config.tie_word_embeddings = False
        super().__init__(config)
        head = nn.Sequential(
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, 2),
        )
        self.register_module("score", head)


class StepModel(nn.Module):
    """A PRM that is trained on packs.

    Args:
        model: a model of Transformers.
        verdicts: the tokens that say "wrong" and "right"; None for a model with a head.
    """

    def __init__(self, model: PreTrainedModel, verdicts: tuple[int, int] | None) -> None:
        super().__init__()
        self.model = model
        self._verdicts = verdicts
        self._scores_only_where_asked = score_only_where_asked(model)
        convert_once(model)

    def forward(
        self, token_ids: Tensor, position_ids: Tensor, lengths: Sequence[int], positions: Tensor
    ) -> Tensor:
        """Logits of wrong and right.

        Args:
            token_ids: [1, num_tokens]
            position_ids: [1, num_tokens]
            lengths: tokens of each example. [num_examples]
            positions: [num_scores] where a score is read.

        Returns:
            float32. [num_scores, 2]
        """
        num_scores = len(positions)
        if token_ids.device.type == "cpu":
            token_ids, position_ids, lengths, positions = _filled_up(
                token_ids, position_ids, lengths, positions
            )
        inputs: dict[str, Any] = {
            "input_ids": token_ids,
            "position_ids": position_ids,
            "lengths": lengths,
            "use_cache": False,
        }
        scored = positions
        if self._scores_only_where_asked:
            inputs["scored"] = positions
            scored = torch.arange(len(positions), device=positions.device)
        if self._verdicts is not None:
            output = self.model(**inputs, logits_to_keep=scored)
            return output.logits[0, :num_scores, list(self._verdicts)].float()
        backbone = cast("nn.Module", self.model.base_model)
        hidden = backbone(**inputs).last_hidden_state[0, scored][:num_scores]
        head = head_of(self.model)
        # Engines compute the head in float32.
        with torch.autocast(hidden.device.type, enabled=False):
            return head(hidden.to(next(head.parameters()).dtype)).float()

    def score(self, pack: Pack) -> Tensor:
        """As forward, of a pack."""
        return self(pack.token_ids, pack.position_ids, pack.lengths, pack.positions)


def head_of(model: PreTrainedModel) -> nn.Module:
    """The two-class head of a model.

    Raises:
        ConfigurationError: if it has none.
    """
    for name in _HEADS:
        if isinstance(head := getattr(model, name, None), nn.Module):
            return head
    raise ConfigurationError(f"{type(model).__name__} has no head called {' or '.join(_HEADS)}")


def load_step_model(name: str, family: PrmFamily, tokenizer: PreTrainedTokenizerBase) -> StepModel:
    """A PRM to be trained, from a language model or from a PRM of the same kind.

    A head that the model has not yet is made with weights drawn from torch's global generator.

    Args:
        name: a folder or a name on the Hugging Face Hub.
        family: decides of which kind the PRM is.
        tokenizer: the model's own.

    Raises:
        ConfigurationError: naming the model, if it cannot be loaded or is not suited.
    """
    verdicts = family.verdicts(tokenizer) if isinstance(family, VerdictFamily) else None
    try:
        model, missing = _load(name, is_token=verdicts is not None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"model: cannot load {name!r}: {error}") from error
    new_head = {part for part in missing if part.split(".")[0] in _HEADS}
    # A language model may share its output layer with its embeddings.
    unfilled = sorted(part for part in missing - new_head if not part.startswith("lm_head"))
    if unfilled:
        raise ConfigurationError(f"model: {name!r} has no weights for {', '.join(unfilled[:5])}")
    if new_head:
        head = head_of(model)
        with _whole(head):
            for layer in head.modules():
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
    use_packed_attention(model)
    return StepModel(model, verdicts)


def add_lora(model: PreTrainedModel, lora: Lora) -> None:
    """Freeze a model but for its head, and put adapters beside the matrices of its layers.

    Raises:
        ConfigurationError: if peft is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise ConfigurationError("trainer.lora needs peft; pip install 'prm-search[train]'") from (
            error
        )
    backbone = cast("nn.Module", model.base_model)
    heads = [name for name in _HEADS if hasattr(model, name)]
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  # it only divides it
        lora_dropout=lora.dropout,
        target_modules=[
            f"{model.base_model_prefix}.{name}"
            for name, part in backbone.named_modules()
            if isinstance(part, nn.Linear)
        ],
        modules_to_save=heads or None,
    )
    peft.get_peft_model(model, config)


def merged(model: PreTrainedModel, lora: Lora) -> dict[str, Tensor]:
    """The weights of a model in which adapters have become part of the matrices, on the CPU."""
    scale = lora.alpha / lora.rank
    weights: dict[str, Tensor] = {}
    state = model.state_dict()
    for name, value in state.items():
        if ".lora_" in name or ".original_module." in name:
            continue
        plain = name.replace(".modules_to_save.default", "").replace(".base_layer", "")
        place = name.removesuffix(".base_layer.weight")
        if place != name:
            down = state[f"{place}.lora_A.default.weight"].float()
            up = state[f"{place}.lora_B.default.weight"].float()
            value = value.float() + scale * (up @ down)
        weights[plain] = value.detach().cpu()
    return weights


def _filled_up(
    token_ids: Tensor, position_ids: Tensor, lengths: Sequence[int], positions: Tensor
) -> tuple[Tensor, Tensor, Sequence[int], Tensor]:
    """A pack with more examples behind it, and its last token scored as often as is missing.

    Args:
        token_ids: [1, num_tokens]
        position_ids: [1, num_tokens]
        lengths: tokens of each example. [num_examples]
        positions: [num_scores]

    Returns:
        The same, with tokens in multiples of 128 and positions in multiples of 32.
    """
    fillers = filler_lengths(lengths, multiple=_TOKENS)
    token_ids = nn.functional.pad(token_ids, (0, sum(fillers)))
    counts = [torch.arange(length) for length in fillers]
    position_ids = torch.cat((position_ids[0], *counts))[None]
    last = token_ids.shape[1] - 1
    positions = nn.functional.pad(positions, (0, -len(positions) % _POSITIONS), value=last)
    return token_ids, position_ids, (*lengths, *fillers), positions


def _whole(module: nn.Module) -> AbstractContextManager[object]:
    """Within this, weights that ZeRO-3 has divided between the processes are there in full."""
    weights = list(module.parameters())
    if not any(hasattr(weight, "ds_id") for weight in weights):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(weights, modifier_rank=0)


def _load(name: str, *, is_token: bool) -> tuple[PreTrainedModel, set[str]]:
    """The model in float32, and the names of the weights that it does not have yet."""
    options: dict[str, Any] = {
        "dtype": torch.float32,
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    model_class: Any = AutoModelForCausalLM
    if not is_token:
        model_class = AutoModelForTokenClassification
        options |= {"num_labels": 2}
        if AutoConfig.from_pretrained(name).model_type == "qwen2":
            model_class = Qwen2ForProcessRewardModel
        else:
            options |= {"id2label": {0: "wrong", 1: "right"}, "label2id": {"wrong": 0, "right": 1}}
    model, info = model_class.from_pretrained(name, **options)
    return model, set(info["missing_keys"])

"""Each family against its authors' way of scoring, written down straight: the whole text at once.

The references follow the model cards and the authors' evaluation code. They share nothing with
the families but the checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prm_search.errors import EngineError
from prm_search.types import Problem, Step, StepScores, Trajectory

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

from actors import served_head  # noqa: E402
from actors.transformers_options import TransformersOptions  # noqa: E402
from actors.transformers_scorer import TransformersScorer  # noqa: E402

PROBLEM = "Janet's ducks lay 16 eggs per day. How many is $16 - 3$, doubled?"
SOLUTIONS = [
    ["Step 1: Janet's ducks lay 16 eggs per day."],
    ["Step 1: 16 - 3 = 13 eggs are left.", "Step 2: 13 * 2 = $26$.", "The answer is: 26"],
    ["12", "\\boxed{12}", "Über 3 − 2: so\nit is", "x", "(a) “y”"],
]
References = dict[str, Callable[[str, Sequence[str]], list[float]]]


def backbone_of(folder: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).model


def linear(weights: dict[str, Any], name: str, hidden: Any) -> Any:
    return torch.nn.functional.linear(
        hidden, weights[f"{name}.weight"], weights.get(f"{name}.bias")
    )


def by_name(name: str, folder: str) -> Callable[[str, Sequence[str]], list[float]]:
    """The reference of a checkpoint."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    weights = load_file(f"{folder}/model.safetensors")

    def language_model() -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def chat(problem: str, *rest: dict[str, str]) -> list[int]:
        turns = [{"role": "user", "content": problem}, *rest]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        return tokenizer.encode(text, add_special_tokens=False)

    def qwen_prm(problem: str, steps: Sequence[str]) -> list[float]:
        answer = "".join(f"{step}<extra_0>" for step in steps)
        ids = torch.tensor(chat(problem, {"role": "assistant", "content": answer}))
        hidden = backbone_of(folder)(ids[None]).last_hidden_state[0]
        logits = linear(weights, "score.2", linear(weights, "score.0", hidden).relu())
        mask = ids == tokenizer.encode("<extra_0>")[0]
        return logits.softmax(-1)[mask, 1].tolist()

    def math_shepherd(problem: str, steps: Sequence[str]) -> list[float]:
        output = "\n".join(f"{step} ки" for step in steps)
        candidates = tokenizer.encode("+ -")[1:]
        ids = torch.tensor(tokenizer.encode(f"{problem} {output}"))
        logits = language_model()(ids[None]).logits[0][:, candidates]
        return logits.softmax(-1)[ids == tokenizer.encode("ки")[-1], 0].tolist()

    def rlhflow(problem: str, steps: Sequence[str]) -> list[float]:
        candidates = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
        model, turns, scores = language_model(), [], []
        for index, step in enumerate(steps):
            text = f"{problem} {step}" if index == 0 else step
            turns += [{"role": "user", "content": text}, {"role": "assistant", "content": "+"}]
            text = tokenizer.apply_chat_template(turns, tokenize=False)
            ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
            scores.append(model(ids).logits[0, -3, candidates].softmax(-1)[0].item())
        return scores

    def skywork_o1(problem: str, steps: Sequence[str]) -> list[float]:
        ids = tokenizer.encode(tokenizer.bos_token + problem + "\n")
        flags = [0] * len(ids)
        for step in steps:
            step_ids = [*tokenizer.encode(step), tokenizer.encode("\n")[-1]]
            ids += step_ids
            flags += [0] * (len(step_ids) - 1) + [1]
        hidden = backbone_of(folder)(torch.tensor([ids])).last_hidden_state[0]
        values = linear(weights, "v_head.summary", hidden)[:, 0].sigmoid()
        return values[torch.tensor(flags) == 1].tolist()

    def reason_eval(problem: str, steps: Sequence[str]) -> list[float]:
        separator = tokenizer.pad_token
        prompt = f"Question:\n{problem}\nAnswer:\nLet's think step by step.\n"
        together = tokenizer.encode(prompt + separator + "".join(s + separator for s in steps))
        separator_id = tokenizer.encode(separator)[-1]
        kept: list[int] = []
        labeled: list[int] = []
        for index, token in enumerate(together):
            if token == separator_id:
                labeled.append(index - 1 - (index - len(kept)))
            else:
                kept.append(token)
        if name == "reason_eval_7b":  # the separator is what begins a text
            kept, labeled = [1, *kept], labeled[2:]
        else:
            labeled = labeled[1:]
        hidden = backbone_of(folder)(torch.tensor([kept])).last_hidden_state[0, labeled]
        scores = linear(weights, "score_head", hidden).softmax(-1)
        return (scores[:, 1] + scores[:, 2]).tolist()

    def reward(problem: str, steps: Sequence[str]) -> list[float]:
        rewards: list[float] = []
        for end in range(1, len(steps) + 1):
            answer = "\n\n".join(steps[:end])
            ids = torch.tensor([chat(problem, {"role": "assistant", "content": answer})])
            if name == "skywork_reward":
                model_class = transformers.AutoModelForSequenceClassification
                model = model_class.from_pretrained(folder, num_labels=1, dtype=torch.float32)
                rewards.append(model(ids).logits[0][0].sigmoid().item())
                continue
            hidden = backbone_of(folder)(ids).last_hidden_state[0, -1]
            value = linear(weights, "score.2", linear(weights, "score.0", hidden).relu())
            rewards.append(value.sigmoid().item())
        return rewards

    references: References = {
        "qwen_prm": qwen_prm,
        "math_shepherd": math_shepherd,
        "rlhflow": rlhflow,
        "skywork_o1": skywork_o1,
        "reason_eval_7b": reason_eval,
        "reason_eval_34b": reason_eval,
        "qwen_reward": reward,
        "skywork_reward": reward,
    }
    return references[name]


def trajectory_of(steps: Sequence[str], problem: str = PROBLEM) -> Trajectory:
    return Trajectory(
        problem=Problem(id="p", prompt=problem),
        steps=tuple(Step(text=f"{step}\n\n") for step in steps),
    )


async def values_of(scorer: Any, trajectories: Sequence[Trajectory]) -> list[list[float]]:
    scoring = await scorer.score(trajectories)
    values = [list(item.values) for item in scoring.scores if isinstance(item, StepScores)]
    assert len(values) == len(trajectories), scoring.scores
    return values


NAMES = [
    "qwen_prm",
    "math_shepherd",
    "rlhflow",
    "skywork_o1",
    "reason_eval_7b",
    "reason_eval_34b",
    "qwen_reward",
    "skywork_reward",
]


@pytest.mark.parametrize("name", NAMES)
async def test_transformers_scores_as_the_authors_do(checkpoint, name: str) -> None:
    prm = checkpoint(name)
    scorer = TransformersScorer(prm=prm, options=TransformersOptions(device="cpu"))
    await scorer.start()
    trajectories = [trajectory_of(steps) for steps in SOLUTIONS]
    together = await values_of(scorer, trajectories)
    alone = [(await values_of(scorer, [trajectory]))[0] for trajectory in trajectories]
    await scorer.close()

    reference = by_name(name, prm.model)
    with torch.inference_mode():
        expected = [reference(PROBLEM, steps) for steps in SOLUTIONS]
    assert together == [pytest.approx(scores, abs=2e-5) for scores in expected]
    assert alone == [pytest.approx(scores, abs=2e-5) for scores in together]
    flat = [score for scores in expected for score in scores]
    assert max(flat) - min(flat) > 0.01


@pytest.mark.parametrize("name", ["skywork_o1", "reason_eval_7b", "reason_eval_34b"])
async def test_a_copy_for_vllm_scores_the_same(checkpoint, tmp_path: Path, name: str) -> None:
    original = checkpoint(name)
    sharded = tmp_path / "sharded"
    shard(Path(original.model), sharded)
    served_head.main([str(sharded), str(tmp_path / "served")])

    values: list[list[list[float]]] = []
    for model in (original.model, str(tmp_path / "served")):
        prm = replace(original, model=model)
        scorer = TransformersScorer(prm=prm, options=TransformersOptions(device="cpu"))
        await scorer.start()
        values.append(await values_of(scorer, [trajectory_of(steps) for steps in SOLUTIONS]))
        await scorer.close()
    assert values[0] == values[1]
    model_class = transformers.AutoModelForTokenClassification
    _, loading = model_class.from_pretrained(tmp_path / "served", output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]


def test_a_head_of_several_layers_is_not_copied(checkpoint, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="has 3 layers"):
        served_head.write_served(checkpoint("qwen_prm").model, tmp_path / "served")


def shard(folder: Path, target: Path) -> None:
    """Spread a checkpoint over two files, as large ones are."""
    shutil.copytree(folder, target)
    weights = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    names = sorted(weights)
    files = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, parts in files.items():
        save_file({part: weights[part] for part in parts}, target / file, metadata={"format": "pt"})
    weight_map = {part: file for file, parts in files.items() for part in parts}
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (target / "model.safetensors.index.json").write_text(index)

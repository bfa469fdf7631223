"""What is learned from labeled solutions, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import ConfigurationError, DataError
from prm_search.prms.rendering import render
from prm_search.prms.tagged_head import TaggedHead
from prm_search.prms.verdict_tokens import VerdictTokens
from trainers.losses import summed_loss
from trainers.prm_examples import (
    LabeledSolution,
    encode,
    held_out_examples,
    target_values,
    training_examples,
    with_targets,
)
from trainers.prm_settings import LabelFiles, Loss, Objective

FLAWED = StepwiseRow(
    prompt="Count.",
    completions=("one", "three", "four"),
    labels=(True, False, True),
    soft_labels=(0.75, 0.0, 0.5),
    label_sources=("judge", "monte_carlo", "judge"),
)


def solution(row: StepwiseRow) -> LabeledSolution:
    return LabeledSolution(file="labels.jsonl", number=7, row=row)


def write(path: Path, *rows: dict[str, Any]) -> LabelFiles:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return LabelFiles(path=str(path))


def read(files: LabelFiles, tiny_model: Path, loss: Loss = Loss.cross_entropy, **given: Any):
    return training_examples(
        files,
        loss=loss,
        tokenizer=AutoTokenizer.from_pretrained(tiny_model),
        family=TaggedHead(),
        system_prompt=None,
        max_tokens=given.get("max_tokens", 500),
    )


def test_nothing_is_learned_after_the_first_error(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    example = with_targets(
        encode(FLAWED, tokenizer, TaggedHead()),
        target_values(solution(FLAWED), Loss.cross_entropy),
    )
    assert example is not None
    tag = tokenizer.convert_tokens_to_ids("<extra_0>")
    assert [example.token_ids[position] for position in example.positions] == [tag, tag]
    assert example.values == (1.0, 0.0)
    assert example.positions[-1] == len(example.token_ids) - 1


def test_soft_labels_are_learned_as_they_are() -> None:
    assert target_values(solution(FLAWED), Loss.mse) == [0.75, 0.0]


def test_labels_of_other_sources_are_left_out(tiny_model: Path) -> None:
    values = target_values(solution(FLAWED), Loss.cross_entropy, ["judge"])
    assert values == [1.0, None]
    example = with_targets(
        encode(FLAWED, AutoTokenizer.from_pretrained(tiny_model), TaggedHead()), values
    )
    assert example is not None
    assert len(example.positions) == 1


@pytest.mark.parametrize("family", [TaggedHead(), VerdictTokens(tag="<extra_0>")])
def test_tokens_are_those_that_engines_score(tiny_model: Path, family) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    expected = render(
        family.question(tokenizer, FLAWED.prompt, None),
        [family.step(tokenizer, f"{step}\n\n", is_first=False) for step in FLAWED.steps],
    )
    example = encode(FLAWED, tokenizer, family)
    assert (example.token_ids, example.positions) == (expected.token_ids, expected.positions)


def test_a_soft_label_under_hard_loss_names_file_and_line(tmp_path: Path, tiny_model: Path) -> None:
    good = {"prompt": "p", "completions": ["a", "b"], "labels": [True, True]}
    soft = {"prompt": "p", "completions": ["a", "b"], "labels": [0.9, 0.5]}
    files = write(tmp_path / "labels.jsonl", good, soft)
    with pytest.raises(DataError, match=r"labels\.jsonl:2: 'labels' holds soft labels"):
        read(files, tiny_model)


def test_soft_labels_in_the_column_of_hard_ones_are_learned(
    tmp_path: Path, tiny_model: Path
) -> None:
    row = {"prompt": "p", "completions": ["a", "b", "c"], "labels": [0.9, 0.0, 0.5]}
    examples, facts = read(write(tmp_path / "l.jsonl", row), tiny_model, Loss.soft_cross_entropy)
    assert examples[0].values == (0.9, 0.0)
    assert facts.num_steps == 2


def test_rows_without_soft_labels_cannot_be_learned_softly(
    tmp_path: Path, tiny_model: Path
) -> None:
    row = {"prompt": "p", "completions": ["a"], "labels": [True]}
    with pytest.raises(DataError, match=r"l\.jsonl:1: no soft_labels"):
        read(write(tmp_path / "l.jsonl", row), tiny_model, Loss.mse)


def test_too_few_labels_name_file_and_line(tmp_path: Path, tiny_model: Path) -> None:
    row = {"prompt": "p", "completions": ["a", "b"], "labels": [True]}
    files = write(tmp_path / "l.jsonl", row)
    with pytest.raises(DataError, match=r"l\.jsonl:1: 1 labels for 2 steps"):
        read(files, tiny_model)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="one of trl, processbench, math_shepherd"):
        LabelFiles(path="labels.jsonl", format="prm900k")


def test_unusable_rows_are_left_out_on_demand(tmp_path: Path, tiny_model: Path) -> None:
    good = {"prompt": "p", "completions": ["a"], "labels": [True]}
    path = tmp_path / "l.jsonl"
    write(path, good, good | {"labels": []})
    examples, facts = read(LabelFiles(path=str(path), skip_unusable=True), tiny_model)
    assert (len(examples), facts.num_set_aside) == (1, 1)


def test_math_shepherd_is_read(tmp_path: Path, tiny_model: Path) -> None:
    text = "How many? Step 1: One. {}\nStep 2: Two. {}"
    row = {"input": text.format("ки", "ки"), "label": text.format("+", "-"), "task": "GSM8K"}
    path = tmp_path / "l.jsonl"
    write(path, row)
    examples, facts = read(LabelFiles(path=str(path), format="math_shepherd"), tiny_model)
    assert examples[0].values == (1.0, 0.0)
    assert facts.sources == {"monte_carlo": 2}


def test_solutions_that_do_not_fit_are_left_out_and_counted(labels: Path, tiny_model: Path) -> None:
    everything, _ = read(LabelFiles(path=str(labels)), tiny_model)
    longest = max(len(example.token_ids) for example in everything)
    examples, facts = read(LabelFiles(path=str(labels)), tiny_model, max_tokens=longest - 1)
    assert 0 < len(examples) < len(everything)
    assert facts.num_set_aside == len(everything) - len(examples)


def test_a_held_out_solution_that_does_not_fit_is_an_error(labels: Path, tiny_model: Path) -> None:
    with pytest.raises(DataError, match="takes 20 at most"):
        held_out_examples(
            LabelFiles(path=str(labels)),
            tokenizer=AutoTokenizer.from_pretrained(tiny_model),
            family=TaggedHead(),
            system_prompt=None,
            max_tokens=20,
        )


def test_losses_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 1.0986123]])  # P(right) = 0.5, 0.75
    values = torch.tensor([0.0, 1.0])
    log = torch.log(torch.tensor([0.5, 0.75]))
    hard = summed_loss(logits, values, Objective(wrong_weight=3.0))
    torch.testing.assert_close(hard, -(3 * log[0] + log[1]))
    soft = torch.tensor([0.25, 0.5])
    squared = summed_loss(logits, soft, Objective(loss=Loss.mse))
    torch.testing.assert_close(squared, torch.tensor(0.25**2 + 0.25**2))
    entropy = summed_loss(logits, soft, Objective(loss=Loss.soft_cross_entropy))
    wrong = torch.log(torch.tensor([0.5, 0.25]))
    expected = -(0.25 * log[0] + 0.75 * wrong[0] + 0.5 * log[1] + 0.5 * wrong[1])
    torch.testing.assert_close(entropy, expected)

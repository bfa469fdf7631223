from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.budget import Role
from prm_search.errors import ConfigurationError, EngineError
from prm_search.labeling.annotation import Annotation
from prm_search.labeling.judge_votes import JudgeVotes
from tests.labeling.scripted import DeadEngine, ScriptedJudge, annotate, response, values


def label(*votes: int | str | None, num_steps: int = 4) -> Annotation:
    judge = ScriptedJudge(votes=votes)
    return annotate(JudgeVotes(num_votes=len(votes)), response(num_steps), judge=judge)


def test_labels_end_at_the_first_error() -> None:
    assert values(label(2)) == [1.0, 1.0, 0.0, None]
    assert values(label(0)) == [0.0, None, None, None]
    assert values(label(None)) == [1.0] * 4
    assert {each.source for each in label(2).labels} == {"judge"}


def test_the_most_votes_win_and_unreadable_ones_are_counted() -> None:
    annotation = label(1, "?", 3, 1, "?", "?")
    assert annotation.first_error == 1
    assert annotation.details["judge"] == {
        "first_error": 1,
        "votes": [1, 3, 1],
        "num_unreadable": 3,
    }


def test_no_error_is_a_vote_like_any_other() -> None:
    assert label(None, None, 2).first_error is None
    assert values(label(None, 2, 2)) == [1.0, 1.0, 0.0, None]


@pytest.mark.parametrize(
    ("votes", "kind"), [([1, 2], "tie"), ([None, 2, "?"], "tie"), (["?"] * 3, "unreadable")]
)
def test_without_a_winner_the_response_is_set_aside(
    votes: Sequence[int | str | None], kind: str
) -> None:
    annotation = label(*votes)
    assert annotation.rejection is not None
    assert annotation.rejection.kind == kind
    assert values(annotation) == [None] * 4
    assert annotation.first_error is None
    assert annotation.ledger.of(Role.JUDGE).num_calls == 1, "it was paid for all the same"


def test_a_critique_that_cannot_be_read_says_why() -> None:
    rejection = label("?").rejection
    assert rejection is not None
    assert "no index in it" in rejection.message


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, 0, 1, 2, "?"]), min_size=1, max_size=9))
def test_the_winner_has_more_votes_than_any_other_or_there_is_none(
    votes: list[int | str | None],
) -> None:
    annotation = label(*votes)
    counts = {vote: votes.count(vote) for vote in set(votes) - {"?"}}
    most = max(counts.values(), default=0)
    winners = [vote for vote, count in counts.items() if count == most]
    if len(winners) == 1:
        assert [annotation.first_error] == winners
        assert annotation.rejection is None
    else:
        assert annotation.rejection is not None


def test_a_failure_is_no_verdict() -> None:
    with pytest.raises(EngineError, match="it died"):
        annotate(JudgeVotes(), response(3), judge=DeadEngine())
    with pytest.raises(EngineError, match="returned 2"):
        annotate(JudgeVotes(), response(3), judge=ScriptedJudge(votes=[1, 1]))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_votes"):
        JudgeVotes(num_votes=0)
    with pytest.raises(ConfigurationError, match="judge="):
        annotate(JudgeVotes(), response(3))
    assert JudgeVotes().needs == {Role.JUDGE}

from __future__ import annotations

import pytest

from prm_search.errors import ConfigurationError
from prm_search.judging.judge import JudgeModel
from prm_search.policy import Policy
from prm_search.prms.prm import Prm


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"model": " "}, "policy.model"),
        ({"temperature": -1.0}, "policy.temperature"),
        ({"top_p": 0.0}, "policy.top_p"),
        ({"top_k": 0}, "policy.top_k"),
        ({"max_tokens": 0}, "policy.max_tokens"),
        ({"max_step_tokens": 0}, "policy.max_step_tokens"),
        ({"max_model_len": 0}, "policy.max_model_len"),
        ({"dtype": "int3"}, "policy.dtype"),
        ({"step_separator": ""}, "policy.step_separator"),
        ({"prompt_template": "no place"}, "policy.prompt_template"),
        ({"prompt_template": "{problem}", "system_prompt": "s"}, "policy.system_prompt"),
    ],
)
def test_an_impossible_policy_names_the_field(settings, field):
    with pytest.raises(ConfigurationError, match=field):
        Policy(**{"model": "m", **settings})


def test_impossible_prms_and_judges_name_the_field():
    with pytest.raises(ConfigurationError, match=r"prm\.dtype"):
        Prm(model="m", dtype="half")
    with pytest.raises(ConfigurationError, match=r"judge\.max_tokens"):
        JudgeModel(model="m", max_tokens=0)

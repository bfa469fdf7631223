"""What the help of each command says beside its settings."""

from __future__ import annotations

from prm_search.command_help import Description

SEARCH = Description(
    command="search",
    summary="solve problems with PRM-guided search",
    text=(
        "Starts a policy and, if a search needs one, a PRM; searches every problem of a data set; "
        "grades the answers; and writes a run directory with a report. Starting the same "
        "run_dir again resumes it. Ctrl-C keeps what is finished."
    ),
    examples=(
        ("all methods on the built-in sandbox, on a CPU", "prm-search search experiment=demo"),
        (
            "beam search on MATH-500",
            "prm-search search policy.model=Qwen/Qwen2.5-Math-1.5B-Instruct "
            "prm.model=Qwen/Qwen2.5-Math-PRM-7B data=math500 search=beam search.num_beams=16",
        ),
        (
            "two replicas of the policy, one GPU each",
            "prm-search search … cluster.policy.replicas=2 cluster.policy.num_gpus=1",
        ),
        (
            "without vLLM and Ray",
            "prm-search search … engine=transformers cluster=inprocess",
        ),
        ("three seeds", "prm-search search … --multirun seed=0,1,2"),
        (
            "several sizes, then all of them against each other",
            "prm-search search … --multirun search.num_beams=16,64 run_dir=runs/sweep; "
            "prm-search compare runs/sweep",
        ),
        ("the settings of another search", "prm-search search search=dvts --help"),
    ),
)

LABEL = Description(
    command="label",
    summary="label the steps of sampled responses, to train a PRM on",
    text=(
        "Samples responses to every problem of a data set; labels their steps by Monte-Carlo "
        "rollouts, a judge, the consensus of both, or the sandbox's oracle; sets aside what "
        "cannot be trusted, with the reason; and writes a run directory with a dataset and its "
        "card. The work is spread over controllers, on this machine or on a Ray cluster. "
        "Starting the same run_dir again resumes it. Ctrl-C keeps what is finished."
    ),
    examples=(
        (
            "consensus labels on the built-in sandbox, on a CPU",
            "prm-search label experiment=label_demo",
        ),
        (
            "consensus labels for GSM8K",
            "prm-search label data=gsm8k data.split=train "
            "policy.model=Qwen/Qwen2.5-Math-7B-Instruct judge.model=Qwen/Qwen2.5-72B-Instruct",
        ),
        (
            "Monte-Carlo labels alone, with a smaller completer",
            "prm-search label … label=monte_carlo label.num_rollouts=8 policy@completer=default "
            "completer.model=Qwen/Qwen2.5-Math-1.5B-Instruct",
        ),
        (
            "on a Ray cluster: eight controllers, four policies, two judges",
            "prm-search label … cluster.address=auto cluster.controller.replicas=8 "
            "cluster.policy.replicas=4 cluster.judge.replicas=2",
        ),
        ("several annotators, one after another", "prm-search label … -m label=monte_carlo,judge"),
        ("the settings of another annotator", "prm-search label label=witness_sharing --help"),
    ),
)

"""Step labels: from Monte-Carlo rollouts, from a judge, from both, or from an oracle."""

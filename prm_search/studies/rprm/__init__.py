"""The study of "R-PRM: Reasoning-Driven Process Reward Modeling" (arXiv 2503.21295)."""

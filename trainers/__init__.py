"""Training of policies, PRMs and reasoning PRMs."""

import warnings

# Rollouts come from the engines of this project; TRL's own way to vLLM is not taken.
warnings.filterwarnings("ignore", message="TRL currently supports vLLM versions")

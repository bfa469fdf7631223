"""Training of PRMs and of the sandbox's own models."""

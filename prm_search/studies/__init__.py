"""Studies: several trainings and evaluations that answer a question together, as one command."""

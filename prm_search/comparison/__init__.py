"""Search runs against each other: what they reach, what it costs, which to take when."""

"""The network, its first weights, and what is added to it in the served graph."""

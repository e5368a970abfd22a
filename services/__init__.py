"""How it is served: one package per bento, and what they share."""

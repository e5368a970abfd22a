"""What the model answers, measured."""

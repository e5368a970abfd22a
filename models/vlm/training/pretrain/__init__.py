"""The small model's base, from random weights: its tower is taught by the classifier, then the whole by questions."""

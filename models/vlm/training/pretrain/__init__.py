"""Train the small model's base: distil its tower from the classifier, then train the whole on questions."""

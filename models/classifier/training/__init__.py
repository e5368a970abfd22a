"""Training a classifier: `loop.Trainer` runs a plan, `folds.make_folds` says on which rows."""

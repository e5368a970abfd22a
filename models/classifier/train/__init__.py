"""Training a classifier: `Trainer` runs a plan, `make_folds` says on what, `raw_scores` what a network answers."""

from models.classifier.train.folds import Folds, make_folds
from models.classifier.train.loop import Trainer
from models.classifier.train.scoring import raw_scores

__all__ = ["Folds", "Trainer", "make_folds", "raw_scores"]

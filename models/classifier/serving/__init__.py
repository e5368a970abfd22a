"""The part of the classifier that services import: the released folder and the input geometry. Torch-free."""

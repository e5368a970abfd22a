"""The part of the vlm that services import: the released folder, the input geometry, the verdict. Torch-free."""

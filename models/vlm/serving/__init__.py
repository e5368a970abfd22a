"""What services import of the vlm: artifact, input geometry and scoring. Torch-free."""

"""What every model needs: artifacts, files, thresholds, logits. Torch-free."""

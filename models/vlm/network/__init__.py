"""The small model, published checkpoints, and adapters."""

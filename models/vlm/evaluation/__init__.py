"""Predictions of the model and their evaluation."""

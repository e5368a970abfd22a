"""Calibration of the probability of Yes to a probability of melanoma."""

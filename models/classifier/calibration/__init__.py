"""Calibrated scores, conformal sets, and the out-of-fold predictions that both are fitted on."""

"""Fitting what weighs the two image models together. `fusion.stack` applies it; torch-free."""

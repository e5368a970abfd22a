"""Fit the logistic stack of the two image models. `fusion.stack` applies it; torch-free."""

"""Figures with intervals, subgroups, cross-validation and reports."""

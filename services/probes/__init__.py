"""Checks that an operator runs against a running system."""

"""Shared fixtures; see the folders for the tests, which mirror the packages."""

"""From public data sets to a table of labelled images without leaks."""

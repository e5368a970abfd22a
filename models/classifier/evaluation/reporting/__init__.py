"""What a classifier is worth as one self-contained HTML page and one JSON file."""

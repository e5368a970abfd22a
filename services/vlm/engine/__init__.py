"""What answers about a picture: a server of its own, or a small model in this process."""

"""Build an image from a bento, push it, and write its digest into an overlay."""

"""What a person can do something about."""


class ImageError(RuntimeError):
    """An image that cannot be built, pushed or named; the message says what is wrong and what to do."""

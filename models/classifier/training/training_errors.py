"""What can go wrong with a run from outside. Every message says what to do about it."""


class TrainingError(RuntimeError):
    """The machine or the folder does not let the run go on; the message is for the person who can change it."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be written or read."""

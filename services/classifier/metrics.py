"""The classifier's queue, network and pictures: whether it keeps up, and whether it is shown what it was made for."""

from prometheus_client import Counter, Gauge, Histogram

from services.contracts import ClassifyResponse

BATCHES = (1, 2, 3, 4, 5, 6, 7, 8)
DISTRIBUTION = {True: "in", False: "out", None: "unknown"}
PROBLEMS = ("dark", "bright", "flat", "blurred")

_queue_wait = Histogram("melalog_queue_wait_seconds", "Time a prepared picture waited for the network")
_batch_size = Histogram("melalog_batch_size", "Pictures that the network saw at once", buckets=BATCHES)
_inference = Histogram("melalog_inference_duration_seconds", "Time the network took for a batch")
_engine_up = Gauge(
    "melalog_classifier_engine_up",
    "1 when what runs the network answered last, 0 when it did not",
    multiprocess_mode="mostrecent",
)
_pictures = Counter(
    "melalog_pictures_classified", "Pictures by whether they are like those the model was made from", ["distribution"]
)
_problems = Counter("melalog_picture_problems", "Pictures of poor quality, by what is wrong", ["problem"])


def begin() -> None:
    """Have everything at 0 from the start: an alarm sees the first one as an increase."""
    for word in DISTRIBUTION.values():
        _pictures.labels(word)
    for problem in PROBLEMS:
        _problems.labels(problem)


def waited(seconds: float) -> None:
    """One picture left the queue: to be computed, or because nobody waits for it any more."""
    _queue_wait.observe(seconds)


def ran(pictures: int, seconds: float) -> None:
    """One batch was computed."""
    _batch_size.observe(pictures)
    _inference.observe(seconds)


def engine(*, up: bool) -> None:
    """What runs the network answered, or did not."""
    _engine_up.set(up)


def classified(found: ClassifyResponse) -> None:
    """One answer."""
    _pictures.labels(DISTRIBUTION[found.in_distribution]).inc()
    for problem in found.picture.problems:
        _problems.labels(problem).inc()

"""The released classifier's figures, measured again on the released file.

MELALOG_DATA_DIR=… python -m benchmarks.accuracy
"""

import os
from pathlib import Path

from models.classifier.release import release_figures
from models.classifier.serving.artifact import RELEASED


def main() -> None:
    """Print every figure of the model card with its 95 % interval."""
    for name, figure in release_figures.measure_release(RELEASED, Path(os.environ["MELALOG_DATA_DIR"])).figures.items():
        low, high = figure["interval"]
        print(f"{name:56} {figure['value']:.3f} ({low:.3f} to {high:.3f})  {figure['data']}, n = {figure['n']}")


if __name__ == "__main__":
    main()

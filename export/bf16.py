"""Which part of a network must stay in float32 when OpenVINO serves the rest in bfloat16.

Eight bits are enough for most convolutions. A first depthwise convolution whose batch normalisation was folded into it
may subtract large numbers: there rounding the image itself changes the risk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.progress import track

from export.variants import MAX_AUC_LOSS
from models.classifier.data import table
from models.classifier.evaluation import measurement, statistics
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact

MAX_SHIFT = 0.06
"""Largest allowed change of the melanoma logit at the 95th percentile; an average would hide single large errors."""
DEPTHS = (2, 4, 8, 16, 32)
"""Candidate numbers of leading convolutions in float32."""

Run = Callable[[NDArray[np.uint8]], list[Any]]
Compile = Callable[[Sequence[str]], Run]
"""From convolutions whose inputs stay in float32 to a function of images uint8 [N, S, S, 3]."""


def chains(model: Path) -> list[list[str]]:
    """The convolutions of each network in an artifact's graph (an ensemble has several), in order."""
    graph = onnx.load(model, load_external_data=False).graph
    network: dict[str, int] = {}  # tensor to the network it belongs to
    convolutions: list[list[str]] = []
    for node in graph.node:
        members = {network[name] for name in node.input if name in network}
        if node.op_type == "Conv":
            if not members:
                members = {len(convolutions)}
                convolutions.append([])
            convolutions[min(members)].append(node.name)
        if len(members) == 1:
            network |= dict.fromkeys(node.output, members.pop())
    return convolutions


def search(model: Path, cache: NDArray[np.uint8], compiled: Compile) -> tuple[str, ...]:
    """The fewest leading convolutions, network by network, that must stay in float32 to move no logit by MAX_SHIFT.

    Raises ValueError when none of DEPTHS is enough.
    """
    reference = measurement.run(model, cache)["logit"]

    def shift(before: Sequence[str]) -> float:
        logits = np.array([one.logit for one in compiled(before)(cache)])
        return float(np.quantile(np.abs(logits - reference), 0.95))

    before: dict[int, str] = {}
    best = shift(())
    options = [(i, names[depth]) for i, names in enumerate(chains(model)) for depth in DEPTHS if depth < len(names)]
    for index, name in track(options, description="bfloat16"):
        if best <= MAX_SHIFT:
            break
        tried = shift(tuple((before | {index: name}).values()))
        if tried < 0.8 * best:  # otherwise too little gain
            before[index], best = name, tried
    if best > MAX_SHIFT:
        raise ValueError(f"one logit in twenty moves by {best:.2f} or more in bfloat16; {MAX_SHIFT} are allowed")
    return tuple(before.values())


@dataclass(frozen=True)
class Bf16Comparison:
    """bfloat16 against float32 on held-out images; the interval is 95 %, by lesion or patient."""

    auc_change: float
    interval: tuple[float, float]
    largest_change: float
    n: int

    @property
    def worth_serving(self) -> bool:
        """Whether the AUC loss is within MAX_AUC_LOSS."""
        return self.auc_change >= -MAX_AUC_LOSS


def compare(artifact: ClassifierArtifact, run: Run, rows: Sequence[table.Row]) -> Bf16Comparison:
    """Compare a compiled graph with the fp32 file on held-out rows."""
    cache = measurement.prepared(artifact, rows)
    old = measurement.decide(measurement.run(artifact.folder / MODEL_FILE, cache), rows, measurement.MELANOMA_ENDPOINT)
    outputs = {"melanoma": np.array([one.melanoma for one in run(cache)])}
    new = measurement.decide(outputs, rows, measurement.MELANOMA_ENDPOINT)
    change, interval = statistics.paired(statistics.METRICS["auc"], new.truth, new.p, old.p, new.groups)
    return Bf16Comparison(change, interval, float(np.abs(new.p - old.p).max()), len(rows))

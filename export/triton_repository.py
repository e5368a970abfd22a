"""A Triton model repository that serves a file of an artifact."""

import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.common.artifact import sha256

NAME = "melalog_classifier"
MAX_BATCH = 8
KINDS = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
"""ONNX Runtime's names of the types that the artifact contract allows, and Triton's."""


def write(
    artifact: ClassifierArtifact, folder: Path, device: Literal["cpu", "gpu"] = "cpu", file: str = MODEL_FILE
) -> Path:
    """Write `folder`/NAME/{config.pbtxt,1/model.onnx}, replacing it when complete; returns the model's folder."""
    target = folder / NAME
    unfinished = folder / f"{NAME}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "1").mkdir(parents=True)
    shutil.copyfile(artifact.folder / file, unfinished / "1" / "model.onnx")
    config = configuration(artifact.folder / file, artifact.manifest.input.size, device)
    (unfinished / "config.pbtxt").write_text(text_format.MessageToString(config))
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return target


def configuration(model: Path, size: int, device: Literal["cpu", "gpu"]) -> model_config_pb2.ModelConfig:
    """Inputs and outputs of the file; batches collected for at most 2 ms; warmed up before it is ready."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    answers = session.run(None, {"image": np.zeros((1, size, size, 3), np.uint8)})
    config = model_config_pb2.ModelConfig(name=NAME, backend="onnxruntime", max_batch_size=MAX_BATCH)
    for tensor in session.get_inputs():
        kind = model_config_pb2.DataType.Value(KINDS[tensor.type])
        config.input.add(name=tensor.name, data_type=kind, dims=[size, size, 3])
    for tensor, answer in zip(session.get_outputs(), answers, strict=True):
        kind = model_config_pb2.DataType.Value(KINDS[tensor.type])
        output = config.output.add(name=tensor.name, data_type=kind, dims=answer.shape[1:] or [1])
        if answer.ndim == 1:
            output.reshape.SetInParent()  # [N] in the graph: Triton wants at least one further axis
    config.parameters["sha256"].string_value = sha256(model)  # the service accepts this file only
    config.dynamic_batching.preferred_batch_size.append(MAX_BATCH)
    config.dynamic_batching.max_queue_delay_microseconds = 2000
    kind_of = {"cpu": "KIND_CPU", "gpu": "KIND_GPU"}
    config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.Kind.Value(kind_of[device]))
    for batch in (1, MAX_BATCH):
        warmup = config.model_warmup.add(name=f"batch of {batch}", batch_size=batch)
        image = warmup.inputs["image"]
        image.data_type = model_config_pb2.DataType.Value("TYPE_UINT8")
        image.dims.extend([size, size, 3])
        image.random_data = True
    return config

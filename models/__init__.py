"""What is learned: data sets, networks, training, evaluation, calibration."""

import os

# Before ONNX Runtime is imported, which else reports its use to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

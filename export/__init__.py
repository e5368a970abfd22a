"""From a trained model to something deployable."""

import os

# Before ONNX Runtime is imported, which else reports its use to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

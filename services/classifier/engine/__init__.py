"""What runs the network: one port, and an adapter per runtime."""

import sys

# Merely importing openvino would send usage data to Google Analytics and leave a client id in the home folder.
# Without this package, which does nothing else, openvino takes its own stub.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

"""The orchestrator: the public HTTP API. It keeps no state and stores no picture."""

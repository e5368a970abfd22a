"""What asks the hosted model: one port, and an adapter to any OpenAI-compatible server."""

"""The rules applied to messages: by the fusion service, and by the orchestrator while that is down."""

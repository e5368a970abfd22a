"""What runs the production engine. It is a process and an image of its own: nothing in here imports vLLM or Melalog."""

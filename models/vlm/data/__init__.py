"""Images, questions and answers as model inputs."""

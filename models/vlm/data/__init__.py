"""Images, questions and answers as what the model takes."""

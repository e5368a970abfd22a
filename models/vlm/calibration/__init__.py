"""What a Yes of the vision-language model is worth as a probability."""

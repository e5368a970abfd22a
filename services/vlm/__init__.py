"""The vlm service: a picture in, Yes or No with its logprobs out."""

"""The vision-language model: what its Yes and No are worth."""

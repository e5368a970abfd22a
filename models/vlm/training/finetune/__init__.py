"""Fine-tuning Llama 3.2 Vision to answer one question about an image with Yes or No."""

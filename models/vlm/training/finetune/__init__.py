"""Fine-tuning Llama 3.2 Vision to answer one question about a picture with Yes or No."""

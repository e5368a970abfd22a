"""From a trained model to something deployable."""

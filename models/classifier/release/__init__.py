"""What a released classifier says of itself: its figures and its model card."""

"""What the four services share; each file does one job."""

"""The classifier service: a picture in, calibrated findings out."""

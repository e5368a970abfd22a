"""What is learned: data sets, networks, training, evaluation, calibration."""

"""The vision-language model: data, network, training, evaluation, calibration and serving."""

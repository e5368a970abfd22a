"""The lesion classifier: from labelled pictures to a calibrated artifact."""

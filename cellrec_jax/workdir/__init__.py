"""What a work directory is, for training and for prediction alike."""

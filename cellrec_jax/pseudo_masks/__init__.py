"""Label maps that are made of points before training, and what finds more points."""

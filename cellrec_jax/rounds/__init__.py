"""Training in rounds of pseudo labels."""

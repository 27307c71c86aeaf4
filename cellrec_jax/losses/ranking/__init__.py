"""P-classification: its objective and two ways to solve it."""

"""P-classification: its objective and three ways to solve it."""

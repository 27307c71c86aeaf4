"""Losses: pure functions of one example, reduced by `masking.masked_mean` alone."""

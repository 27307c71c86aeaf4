"""Predictions of a set to metrics, figures and results.json."""

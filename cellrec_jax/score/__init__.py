"""Scores of clinical research from cells that were predicted: `cellrec score`."""

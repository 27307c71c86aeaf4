"""Whole slides to cells, tile by tile: memory of a few tiles, whatever the slide."""

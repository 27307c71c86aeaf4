"""TFDS builders for annotated folders."""

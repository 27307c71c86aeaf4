"""Generated images with exact annotations."""

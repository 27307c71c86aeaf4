"""Files that people exchange; the only place with (x, y)."""

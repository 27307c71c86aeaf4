"""From a file to an array; nothing of cells."""

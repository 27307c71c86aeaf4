"""How good detections are: NumPy, exact, on the host."""

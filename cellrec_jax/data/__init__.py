"""From annotated folders to batches; the only place that imports TensorFlow."""

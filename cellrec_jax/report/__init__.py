"""One HTML file about a trained model: what it is, how well it does, where it fails."""

"""A trained model meets pictures that nobody annotated, and learns from its own cells.

In each round the model finds the cells of the pictures, takes them as labels that count
by their scores, and trains on: self-training (Scudder, 1965), or pseudo labels (Lee,
2013). It learns stains and scanners so, not kinds of cells that it never saw.
"""

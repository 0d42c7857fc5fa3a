"""What the quality audit expects: how a picture looks, a suite over it, pages about it."""

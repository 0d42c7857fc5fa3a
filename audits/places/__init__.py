"""What the locality audit knows of places: positions, boundaries, flows between countries."""

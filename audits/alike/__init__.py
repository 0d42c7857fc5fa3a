"""How the duplicates audit tells copies: hashes of views, search, alignment, comparison."""

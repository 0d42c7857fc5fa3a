"""Captions as a model reads them: tokens, a frozen encoder, and what it said of them."""

"""Scores of a trained model, each with its interval and what it was held against."""

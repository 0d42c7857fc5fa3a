"""Cleared pictures: read by digest, kept in memory or packed, in an order fixed by the seed."""

"""Sealing: pictures encrypted under keys of their own, and who is given which."""

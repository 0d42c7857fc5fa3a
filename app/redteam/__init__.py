"""Attacks on a scratch workspace: each is tried as an attacker would, and must be stopped."""

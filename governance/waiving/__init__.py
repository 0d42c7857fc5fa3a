"""Waivers: documents that people sign, what the ledger is told of them, and whether they hold."""

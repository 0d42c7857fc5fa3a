"""Signers: who may sign what, and under which tag a person stands in the ledger."""

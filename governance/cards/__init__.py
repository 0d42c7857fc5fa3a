"""The card, and the bundle an outsider verifies: collected, rendered, signed, read back."""

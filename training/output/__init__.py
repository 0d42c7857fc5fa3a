"""The door for what is drawn: prompts and pictures that are refused, provenance, the policy."""

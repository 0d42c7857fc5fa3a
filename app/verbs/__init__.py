"""The verbs beside the main path, one file a group."""

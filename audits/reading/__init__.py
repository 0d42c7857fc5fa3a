"""Reading: what a user names becomes the samples of a snapshot."""

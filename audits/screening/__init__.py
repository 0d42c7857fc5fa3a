"""What the NSFW audit holds samples against: hash lists, detectors, and what they come to."""

"""What a run writes down and tells: steps, receipts, energy, a sign of life, the result."""

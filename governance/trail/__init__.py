"""The trail: every act under one signed tree, proofs of it, and witnesses who saw it grow."""

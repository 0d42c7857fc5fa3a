"""Who works out a step together: threads of one process, or several processes."""

"""What the bias audit counts: groups, associations, how they are shown, whom a decision meets."""

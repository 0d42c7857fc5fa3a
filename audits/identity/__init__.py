"""What the personal data audit looks for: identifiers, ages, documents, what files tell."""

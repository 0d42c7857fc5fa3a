"""Rights: is a picture in the data, and what follows when somebody takes it back."""

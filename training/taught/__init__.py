"""What networks of others teach a model: their weights, and the losses that listen to them."""

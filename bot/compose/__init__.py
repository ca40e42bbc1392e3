"""Ways to put an answer into words."""

"""DNA mixing."""

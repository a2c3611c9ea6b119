"""What is asked of a row: heads, losses, metrics and answers."""

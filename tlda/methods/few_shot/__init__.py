"""Learning to learn new classes from a few examples."""

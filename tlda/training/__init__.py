"""What a method asks of its trainer, and what surrounds a run: checkpoints, seeds, loggers, predictions."""

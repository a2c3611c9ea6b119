"""Trainers and all around a run: checkpoints, seeds, loggers, predictions."""

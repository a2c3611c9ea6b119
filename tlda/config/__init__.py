"""Configuration: from files and options to classes, and what a result was measured under."""

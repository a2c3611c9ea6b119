"""The options of a class: they are remembered, and each that is a number has its range."""

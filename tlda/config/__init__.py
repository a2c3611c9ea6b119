"""Configuration: make objects from files and options, and record the options that decide a result."""

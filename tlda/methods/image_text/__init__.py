"""Images and texts in one space: answers without examples, and what a few examples add."""

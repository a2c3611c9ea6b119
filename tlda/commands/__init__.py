"""The commands, one thin file each; what they do is in their subject's package."""

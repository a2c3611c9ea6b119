"""Pages, grids and charts, as text."""

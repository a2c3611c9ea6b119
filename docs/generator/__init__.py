"""The site's pages that are made when it is built: of classes, tables, results and figures. ``mkdocs.yml`` names :mod:`generator.hook`."""

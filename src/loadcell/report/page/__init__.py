"""What pages are made of: templates, styles, scripts; and the page of a sweep and of a curve."""

"""The settings of an attack or a victim that are best on data which the assessment does not report."""

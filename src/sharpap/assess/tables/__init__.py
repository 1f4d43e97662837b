"""What results are asked for: matrices, comparisons, bounds, sharpness."""

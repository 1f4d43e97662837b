"""A file, a frame or a sparse matrix in, `Interactions` out."""

"""The audit of one recommender: exposure, remedies, detection, certificates."""

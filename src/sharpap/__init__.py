"""SharpAP: stress-test recommender systems against sharpness-aware poisoning."""

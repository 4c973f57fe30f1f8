"""What you make: plans, runs, classifiers."""

"""The screens of what you have."""

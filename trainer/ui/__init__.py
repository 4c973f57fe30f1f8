"""The screens of what you make."""

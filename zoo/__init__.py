"""What you have: pictures, backbones, and how well they fit."""

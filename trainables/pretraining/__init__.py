"""Base encoders pretrained from text."""

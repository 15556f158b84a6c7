"""The study file: its sections, its checks, and the words of its errors."""

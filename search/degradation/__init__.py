"""Where transfer is lost: gaps by language, and how they grow with distance."""

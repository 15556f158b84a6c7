"""Computes and checks what can be known of a study before anything is trained."""

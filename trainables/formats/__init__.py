"""The formats: one module per task kind, which encodes, predicts and scores its examples."""

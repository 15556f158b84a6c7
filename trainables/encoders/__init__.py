"""The encoder, its heads and its adapters. Only the encoder passes from one phase to the next."""

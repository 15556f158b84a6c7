"""The encoder, its heads and its adapters: what crosses a phase boundary."""

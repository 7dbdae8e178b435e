"""Side by side with PyTorch: see `benchmarks/versus_torch.py`."""

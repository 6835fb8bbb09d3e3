"""What tests on a CPU cannot show: a dual model on the device at hand. See `__main__` for its use."""

"""Fixtures of `random_nets`."""

from random_nets import one_thread, outputs, random_net, shake

__all__ = ["one_thread", "outputs", "random_net", "shake"]

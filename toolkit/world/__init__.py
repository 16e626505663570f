"""FooBar International: the simulated company whose ground truth is known."""

from toolkit.world.settings import Settings
from toolkit.world.simulation import World, simulate

__all__ = ["Settings", "World", "simulate"]

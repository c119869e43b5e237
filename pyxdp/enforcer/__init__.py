"""Enforcement by a program that stays: it remembers what it did last, and so makes small changes in little time.

::

    with Enforcer() as enforcer:
        enforcer.apply(pyxdp.load(["policy/"]).resources)
        enforcer.add_members("GlobalNetworkSet", "blocked", ["203.0.113.7"])

Policy goes the way that it always goes: resolved, compiled, planned, carried out. An enforcer keeps what each of these
steps can use again. Addresses that enter or leave a network set take a shorter way: into the slot in force.
"""

from pyxdp.enforcer.enforcer import Enforcer, MembersReport

__all__ = ["Enforcer", "MembersReport"]

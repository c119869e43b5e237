"""The main job on one machine: Calico policy, XDP and conntrack around a real Redis. Run by ``make demo``."""

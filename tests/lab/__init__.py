"""What tests stand on: network namespaces of their own, a bpffs of their own, waiting for facts."""

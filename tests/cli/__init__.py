"""The command as people run it: a process, with a namespace and a bpffs of its own."""

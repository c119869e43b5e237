"""What a verdict costs on this machine: rule sets that resemble real ones, and the programs run on packets for them.

Nothing here touches an interface, a pin or a policy in force: the programs are loaded beside those at work and run by
``BPF_PROG_TEST_RUN``. ``pyxdp bench`` prints what these modules measure; the measurements of the checkout, which need
namespaces and other tools to compare with, are built on them too.

``addresses``   prefixes in the shapes that they have in the world
``documents``   rules and sets as manifests
``profiles``    rules as access-control lists, firewalls and IP chains have them
``rulesets``    whole policies, with packets to measure them by
``traffic``     many flows for one program: ``kern/bench.bpf.c``
``judging``     a policy in the programs, and what it costs
``figures``     medians, and what they are held against
``machine``     what it was measured on
"""

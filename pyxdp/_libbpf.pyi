from pyxdp.bpf._protocol import Cffi, Libbpf

ffi: Cffi
lib: Libbpf

import subprocess, json, sys
def sh(c):
    r = subprocess.run(c, shell=True, capture_output=True, text=True)
    print(json.dumps({"command": c, "status": r.returncode, "out": (r.stdout + r.stderr)[-2500:]}), flush=True)
sh("uname -r; ip -br link; lsmod")
sh("O=$(python -c 'import pyxdp,os;print(os.path.dirname(pyxdp.__file__))'); ls $O; mkdir -p /sys/fs/bpf/t; bpftool prog loadall $O/pyxdp.bpf.o /sys/fs/bpf/t; ls -la /sys/fs/bpf/t")
sh("ip link set eth0 up; ip link set eth1 up; bpftool net attach xdpdrv pinned /sys/fs/bpf/t/pyxdp_xdp dev eth0; ip link show eth0; dmesg | tail -20; ethtool -l eth0")
sh("cat /proc/uptime")

# What an agent can try without a proxy. It takes a list of {name, kind, addr,
# port} as JSON, tries each, and prints {name: "" or the error}.
import json, socket, struct, sys

LONGEST = 10  # seconds; nothing waits so long where the rules answer


def tcp(family, addr, port):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(LONGEST)
        s.connect((addr, port))


def udp(family, addr, port, data=b"out"):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(data, (addr, port))


def dns(family, addr, port):
    labels = b"".join(bytes([len(p)]) + p for p in b"secret.exfiltrated.test".split(b"."))
    udp(family, addr, port, struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1))


def echo(family, kind, addr):
    v6 = family == socket.AF_INET6
    request = bytearray(struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, 1, 1))
    if not v6:
        total = sum(struct.unpack("!4H", request))
        total = (total & 0xFFFF) + (total >> 16)
        request[2:4] = struct.pack("!H", ~total & 0xFFFF)
    with socket.socket(family, kind, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP) as s:
        s.sendto(request, (addr, 0))


def raw(family, addr, protocol):
    with socket.socket(family, socket.SOCK_RAW, protocol) as s:
        s.sendto(b"out", (addr, 0))


def attempt(kind, addr, port):
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    if kind == "ping":
        echo(family, socket.SOCK_DGRAM, addr)
    elif kind == "raw-icmp":
        echo(family, socket.SOCK_RAW, addr)
    elif kind == "raw":
        raw(family, addr, port)
    else:
        {"tcp": tcp, "udp": udp, "dns": dns}[kind](family, addr, port)


results = {}
for a in json.loads(sys.argv[1]):
    try:
        attempt(a["kind"], a["addr"], a["port"])
        results[a["name"]] = ""
    except OSError as e:
        results[a["name"]] = str(e)
print(json.dumps(results))

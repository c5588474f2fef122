#!/usr/bin/env python3
"""Verify Signet's evidence: bundles, and chains of records as JSON lines.

    python3 signet_verify.py [--jwks KEYS.json] [--checkpoints FILE] [--json]
        [--witness VKEY... [--witnesses-needed N] | --witness-policy FILE] PATH...

A second implementation of docs/receipt.md and docs/bundle.md, which shares no
code with signet. It needs Python 3.9 and the package cryptography (Debian:
python3-cryptography), no network, and memory that does not grow with the
records. Each PATH stands for itself.

Exit status: 0 if all is good, 1 if something is not, with the first bad record
named, 2 if there is nothing to verify or it cannot be read.
"""

import argparse
import base64
import collections
import datetime
import hashlib
import ipaddress
import json
import re
import struct
import sys
import zlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_LINE = 1 << 20
MAX_DEPTH = 64
MAX_INT = 2**53 - 1
MAX_TRACES = 65_536
RECEIPT_ID_WINDOW = 65_536
MAX_MANIFEST = 8 << 20


class Refused(Exception):
    """What is not good: its cause, and the record's seq, 0 where it is no record."""

    def __init__(self, cause, why, seq=None):
        super().__init__(f"{cause}: {why}")
        self.cause, self.why, self.seq = cause, why, seq


class Unreadable(Exception):
    """There is nothing to verify, or it cannot be read."""


# --- Canonical form: RFC 8785 ------------------------------------------------


class Number(str):
    """A number as it stands in the text."""


def es6(text):
    """The number as ECMAScript writes it (RFC 8785 section 3.2.2.3)."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number out of range")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and not exponent else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    e = f"e{point - 1:+d}"
    return sign + digits[0] + ("." + digits[1:] if count > 1 else "") + e


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')


def write(value):
    """The canonical form of a parsed value, as text."""
    if isinstance(value, Number):
        return es6(value)
    if isinstance(value, str):
        return '"' + TO_ESCAPE.sub(lambda m: ESCAPES.get(m[0], f"\\u{ord(m[0]):04x}"), value) + '"'
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(write(name) + ":" + write(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return {True: "true", False: "false", None: "null"}[value]


def canonical(value):
    return write(value).encode()


def unique(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def too_deep(text):
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', text, re.DOTALL):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            return True
    return False


def parse(data):
    """An object in canonical form, or Refused."""
    try:
        text = data.decode("utf-8")
        if too_deep(text):
            raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
        value = json.loads(text, object_pairs_hook=unique, parse_int=Number, parse_float=Number, parse_constant=no_constant)
        again = canonical(value)
    except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
        raise Refused("canonical form", error) from None
    if again != data:
        raise Refused("canonical form", "not in canonical form (RFC 8785)")
    if not isinstance(value, dict):
        raise Refused("canonical form", "not an object")
    return value


# --- Schema: docs/receipt.md -------------------------------------------------

# A member is a kind, or (kind, OPTIONAL) where it is absent unless it applies. A
# kind is TEXT, INTEGER, BOOLEAN, TIME, OBJECT (any), a dict of members, or a list
# that holds the kind of its elements.
TEXT, NULLABLE, INTEGER, COUNT, BOOLEAN, TIME, OBJECT = "string", "string or null", "integer", "integer, not 0", "boolean", "time", "object"
OPTIONAL = True

HEAD = {
    "type": TEXT,
    "chain": {"id": TEXT, "seq": INTEGER, "prev": (TEXT, OPTIONAL)},
    "ts": TIME,
    "kid": TEXT,
    "receipt_hash": TEXT,
    "signature": TEXT,
}
GENESIS = {**HEAD, "tenant": TEXT, "agent": TEXT, "build": TEXT, "public_key": TEXT, "policy_version": TEXT}
LOST = {"cause": TEXT, "first": (COUNT, OPTIONAL), "last": (COUNT, OPTIONAL)}
EVENT = {
    **HEAD,
    "event": TEXT,
    "build": (TEXT, OPTIONAL),
    "policy_version": (TEXT, OPTIONAL),
    "gap": ({"unknown": INTEGER, "lost": (LOST, OPTIONAL)}, OPTIONAL),
    "key": ({"kid": TEXT, "public_key": TEXT, "proof": TEXT}, OPTIONAL),
    "clock": ({"step_ms": INTEGER}, OPTIONAL),
    "posture": ({"name": TEXT, "value": TEXT}, OPTIONAL),
}
REQUEST = {
    "protocol": TEXT, "method": TEXT, "scheme": (TEXT, OPTIONAL), "host": TEXT, "port": INTEGER,
    "path": (TEXT, OPTIONAL), "digest": (TEXT, OPTIONAL), "size": (INTEGER, OPTIONAL),
}  # fmt: skip
DNS = {"resolver": TEXT, "answers": [TEXT], "cname": [TEXT], "ttl": INTEGER, "rebound": (BOOLEAN, OPTIONAL)}
TLS = {
    "mode": TEXT, "sni": (TEXT, OPTIONAL), "ech": BOOLEAN, "version": (TEXT, OPTIONAL),
    "alpn": (TEXT, OPTIONAL), "peer_spki": (TEXT, OPTIONAL),
}  # fmt: skip
FORWARDED = {
    "pinned_ip": TEXT, "port": INTEGER, "status_code": (INTEGER, OPTIONAL), "response_digest": (TEXT, OPTIONAL),
    "response_size": (INTEGER, OPTIONAL), "bytes_up": (INTEGER, OPTIONAL), "bytes_down": (INTEGER, OPTIONAL),
}  # fmt: skip
PAYLOAD = {
    "contract": TEXT, "payload_type": (TEXT, OPTIONAL), "target_type": (TEXT, OPTIONAL), "cid": (TEXT, OPTIONAL),
    "facts": ([{"name": TEXT, "receipt_id": TEXT}], OPTIONAL),
}  # fmt: skip
REPAIR = {
    "method": TEXT, "before": TEXT, "after": TEXT, "model": (TEXT, OPTIONAL),
    "edits": ([{"op": TEXT, "path": TEXT, "offset": INTEGER}], OPTIONAL),
}  # fmt: skip
DETAIL = {
    "salt": TEXT, "started": TIME, "duration_us": INTEGER,
    "request": (REQUEST, OPTIONAL), "dns": (DNS, OPTIONAL), "tls": (TLS, OPTIONAL),
    "forwarded": (FORWARDED, OPTIONAL), "payload": (PAYLOAD, OPTIONAL), "repair": (REPAIR, OPTIONAL),
}  # fmt: skip
POLICY = {
    "engine": TEXT, "allowed": BOOLEAN, "reason": TEXT, "rule": (TEXT, OPTIONAL), "mode": TEXT, "version": TEXT,
    "flags": ([TEXT], OPTIONAL),
}  # fmt: skip
RECEIPT = {
    **HEAD, "canon": TEXT, "algo": TEXT,
    "receipt_id": TEXT, "trace_id": TEXT, "hop": INTEGER, "prev_receipt_hash": NULLABLE,
    "tenant": TEXT, "agent": TEXT, "api_key": (TEXT, OPTIONAL), "outcome": TEXT, "policy": POLICY,
    "usage": {"vex": INTEGER, "fu": INTEGER}, "fallback_used": BOOLEAN, "fu_tokens": INTEGER,
    "semantic_violations": ([TEXT], OPTIONAL), "count": INTEGER, "internal": (TEXT, OPTIONAL),
    "detail_digest": TEXT, "ext": (OBJECT, OPTIONAL), "detail": (DETAIL, OPTIONAL),
}  # fmt: skip
RECORDS = {"signet.genesis/1": GENESIS, "signet.event/1": EVENT, "signet.receipt/1": RECEIPT}


def field(path, why):
    raise Refused("field", f"{path}: {why}")


def check_members(path, members, schema):
    """The first member that is unknown or of another kind, else one that is missing."""
    for name in sorted(members):
        if name not in schema:
            raise Refused("unknown member", f"{path}{name!r}")
        kind, value = schema[name], members[name]
        if isinstance(kind, tuple):
            kind = kind[0]
            if value is None or value is False or value == "" or value == [] or kind == COUNT and value == "0":
                field(path + name, "empty; a member that does not apply is absent")
        check_kind(path + name, value, kind)
    for name in sorted(schema):
        if name not in members and not isinstance(schema[name], tuple):
            field(path + name, "missing")


def check_kind(path, value, kind):
    text = isinstance(value, str) and not isinstance(value, Number)
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            field(path, "not an object")
        check_members(path + ".", value, kind)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            field(path, "not a list")
        for element in value:
            check_kind(path, element, kind[0])
    elif kind in (INTEGER, COUNT):
        if not isinstance(value, Number) or not re.fullmatch("-?[0-9]+", value) or abs(int(value)) > MAX_INT:
            field(path, "no integer within 2^53")
    elif kind == TIME:
        if not text or moment(value) is None:
            field(path, "no time in the years 1970 to 9999")
    elif not (
        kind == TEXT and text
        or kind == NULLABLE and (text or value is None)
        or kind == BOOLEAN and isinstance(value, bool)
        or kind == OBJECT and isinstance(value, dict)
    ):
        field(path, f"not a {kind}")


def moment(text):
    """Microseconds since 1970 of a time in the one format that there is, or None."""
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z", text, re.ASCII)
    if not match:
        return None
    try:
        at = datetime.datetime(*(int(part) for part in match.groups()[:6]))
    except ValueError:
        return None
    since = at - datetime.datetime(1970, 1, 1)
    return None if since.days < 0 else since // datetime.timedelta(microseconds=1) + 1000 * int(match[7])


# --- Values: docs/receipt.md -------------------------------------------------

DIGEST = re.compile("sha256:[0-9a-f]{64}")
UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def matches(pattern):
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value)


def is_digest(value):
    return DIGEST.fullmatch(value)


def is_uuid(value):
    return UUID7.fullmatch(value)


def one_of(*values):
    return lambda value: value in values


def between(least, most):
    return lambda value: least <= int(value) <= most


not_negative = between(0, MAX_INT)
is_port = between(1, 65535)


def decode(text, length):
    """Strict unpadded base64url of so many bytes, or None."""
    if not re.fullmatch("[A-Za-z0-9_-]*", text):
        return None
    padded = text + "=" * (-len(text) % 4)
    try:
        data = base64.urlsafe_b64decode(padded)
    except ValueError:
        return None
    return data if len(data) == length and encode(data) == text else None


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of(length):
    return lambda value: decode(value, length) is not None


def is_address(text):
    if "%" in text:  # a zone
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return text == (f"::ffff:{mapped}" if mapped else str(address))


def hold(path, value, good):
    """Refuse a value that is there and not good."""
    if value is not None and not good(value):
        field(path, "not a value that it can have")


def apply(path, present, applies):
    if bool(present) != bool(applies):
        field(path, "missing" if applies else "present where it does not apply")


def check_head(record):
    chain, genesis = record["chain"], record["type"] == "signet.genesis/1"
    hold("chain.id", chain["id"], is_uuid)
    hold("chain.seq", chain["seq"], between(1, MAX_INT))
    if genesis != (chain["seq"] == "1"):
        field("type", "the genesis is seq 1, and no other record")
    apply("chain.prev", "prev" in chain, not genesis)
    hold("chain.prev", chain.get("prev"), is_digest)
    hold("kid", record["kid"], bytes_of(32))
    hold("receipt_hash", record["receipt_hash"], is_digest)
    hold("signature", record["signature"], bytes_of(64))


def check_genesis(record):
    hold("tenant", record["tenant"], bool)
    hold("build", record["build"], bool)
    hold("policy_version", record["policy_version"], is_digest)
    try:
        read_key(record["public_key"])
    except ValueError as error:
        field("public_key", error)
    if thumbprint(record["public_key"]) != record["kid"]:
        field("kid", "not the thumbprint of public_key")


def check_event(record):
    kind = record["event"]
    for name, only in (
        ("build", "start"), ("policy_version", "start"), ("gap", "gap"), ("key", "key_change"), ("clock", "clock_step"), ("posture", "posture"),
    ):  # fmt: skip
        apply(name, name in record, kind == only)
    hold("event", kind, one_of("start", "stop", "gap", "key_change", "clock_step", "posture"))
    hold("policy_version", record.get("policy_version"), is_digest)
    if kind == "gap":
        check_gap(record)
    if kind == "key_change":
        for name, length in ("kid", 32), ("public_key", 32), ("proof", 64):
            hold("key." + name, record["key"][name], bytes_of(length))
    if kind == "posture":
        hold("posture.name", record["posture"]["name"], bool)


def check_gap(record):
    hold("gap.unknown", record["gap"]["unknown"], not_negative)
    lost = record["gap"].get("lost")
    if lost is None:
        return
    hold("gap.lost.cause", lost["cause"], one_of("damage", "rollback"))
    apply("gap.lost.last", "last" in lost, "first" in lost)
    if "first" in lost:
        before = int(record["chain"]["seq"]) - 1
        hold("gap.lost.first", lost["first"], between(1, before))
        hold("gap.lost.last", lost["last"], between(int(lost["first"]), before))


def check_receipt(record):
    policy = record["policy"]
    for path, value, good in (
        ("canon", record["canon"], one_of("jcs")),
        ("algo", record["algo"], one_of("sha256")),
        ("receipt_id", record["receipt_id"], is_uuid),
        ("trace_id", record["trace_id"], matches("[\x21-\x7e]{1,128}")),
        ("hop", record["hop"], between(1, MAX_INT)),
        ("tenant", record["tenant"], bool),
        ("outcome", record["outcome"], one_of("forwarded", "denied", "failed", "unknown")),
        ("policy.engine", policy["engine"], one_of("HEL")),
        ("policy.reason", policy["reason"], matches("[A-Za-z0-9_]{1,64}")),
        ("policy.mode", policy["mode"], one_of("enforce", "report")),
        ("policy.version", policy["version"], is_digest),
        ("policy.flags", policy.get("flags"), all),
        ("usage.vex", record["usage"]["vex"], not_negative),
        ("usage.fu", record["usage"]["fu"], not_negative),
        ("fu_tokens", record["fu_tokens"], not_negative),
        ("semantic_violations", record.get("semantic_violations"), all),
        ("count", record["count"], between(1, MAX_INT)),
        ("internal", record.get("internal"), one_of("model", "collector")),
        ("detail_digest", record["detail_digest"], is_digest),
        ("prev_receipt_hash", record["prev_receipt_hash"], is_digest),
    ):
        hold(path, value, good)
    apply("prev_receipt_hash", record["prev_receipt_hash"] is not None, record["hop"] != "1")
    if "detail" in record:
        check_detail(record["detail"])


def check_detail(detail):
    request, dns, tls = detail.get("request", {}), detail.get("dns", {}), detail.get("tls", {})
    forwarded, payload, repair = detail.get("forwarded", {}), detail.get("payload", {}), detail.get("repair", {})
    for path, value, good in (
        ("salt", detail["salt"], bytes_of(16)),
        ("duration_us", detail["duration_us"], not_negative),
        ("request.protocol", request.get("protocol"), one_of("h1", "h2")),
        ("request.method", request.get("method"), bool),
        ("request.host", request.get("host"), bool),
        ("request.port", request.get("port"), is_port),
        ("request.digest", request.get("digest"), is_digest),
        ("request.size", request.get("size"), not_negative),
        ("dns.resolver", dns.get("resolver"), bool),
        ("dns.answers", dns.get("answers"), lambda list: all(map(is_address, list))),
        ("dns.cname", dns.get("cname"), all),
        ("dns.ttl", dns.get("ttl"), not_negative),
        ("tls.mode", tls.get("mode"), one_of("intercept", "tunnel", "none")),
        ("tls.version", tls.get("version"), one_of("1.2", "1.3")),
        ("tls.peer_spki", tls.get("peer_spki"), is_digest),
        ("forwarded.pinned_ip", forwarded.get("pinned_ip"), is_address),
        ("forwarded.port", forwarded.get("port"), is_port),
        ("forwarded.status_code", forwarded.get("status_code"), between(100, 999)),
        ("forwarded.response_digest", forwarded.get("response_digest"), is_digest),
        ("forwarded.response_size", forwarded.get("response_size"), not_negative),
        ("forwarded.bytes_up", forwarded.get("bytes_up"), not_negative),
        ("forwarded.bytes_down", forwarded.get("bytes_down"), not_negative),
        ("payload.contract", payload.get("contract"), bool),
        ("payload.cid", payload.get("cid"), is_digest),
        ("payload.facts", payload.get("facts"), lambda facts: all(f["name"] and is_uuid(f["receipt_id"]) for f in facts)),
        ("repair.method", repair.get("method"), one_of("local", "model")),
        ("repair.before", repair.get("before"), is_digest),
        ("repair.after", repair.get("after"), is_digest),
        ("repair.edits", repair.get("edits"), lambda edits: all(e["op"] and not_negative(e["offset"]) for e in edits)),
    ):
        hold("detail." + path, value, good)
    apply("detail.request.size", "size" in request, "digest" in request)
    apply("detail.forwarded.response_size", "response_size" in forwarded, "response_digest" in forwarded)


VALUES = {"signet.genesis/1": check_genesis, "signet.event/1": check_event, "signet.receipt/1": check_receipt}


# --- Keys and signatures -----------------------------------------------------

P = 2**255 - 19
# The y coordinates of the points whose order divides 8.
SMALL_ORDER = {
    0,
    1,
    P - 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
}


def read_key(text):
    """A public key, unless anybody could sign with it, or it is not its own encoding."""
    data = decode(text, 32)
    if data is None:
        raise ValueError("not 32 bytes in unpadded base64url")
    y = int.from_bytes(data, "little") & (2**255 - 1)
    if y >= P:
        raise ValueError("not the canonical encoding of a key")
    if y in SMALL_ORDER:
        raise ValueError("a key of small order, under which anybody can sign")
    return data


def thumbprint(text):
    """RFC 7638, of a key in base64url."""
    return encode(hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": text})).digest())


def signed(key, domain, body, signature):
    """Whether the key, 32 bytes, has signed the body in the domain."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(decode(signature, 64) or b"", domain.encode() + b"\n" + body)
    except (InvalidSignature, ValueError):
        return False
    return True


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class KeySet:
    """The keys of one or more JWKS, by thumbprint, and where in chains each may sign."""

    def __init__(self):
        self.keys, self.validity = {}, {}

    def read(self, document):
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise ValueError("not a JWKS")
        if not all(isinstance(key, dict) for key in document["keys"]):
            raise ValueError("not a JWKS")
        usable = [key for key in document["keys"] if key.get("kty") == "OKP" and key.get("crv") == "Ed25519"]
        if not usable:
            raise ValueError("it holds no Ed25519 key")
        for key in usable:
            self.add(key)
        return self

    def add(self, key):
        if "d" in key:
            raise ValueError("it holds a private key: replace it, and publish only x")
        data = read_key(str(key.get("x")))
        kid = thumbprint(key["x"])
        if key.get("kid") not in (None, "", kid):
            raise ValueError(f"kid {key['kid']} is not the thumbprint of its key")
        ranges = key.get("validity")
        if ranges is not None:
            ranges = [self.bounds(r) for r in ranges]
            if not ranges:
                raise ValueError("a key with an empty validity")
        known = self.validity.get(kid, [])
        self.keys[kid] = data
        self.validity[kid] = None if ranges is None or known is None else known + ranges

    @staticmethod
    def bounds(r):
        start, stop = parse_time(r["from"]), parse_time(r["to"]) if r.get("to") else None
        first, last = int(r["from_seq"]), int(r.get("to_seq") or 0) or None
        if not UUID7.fullmatch(r["chain"]) or first < 1 or last is not None and last < first or stop is not None and stop < start:
            raise ValueError("a validity that no key can have")
        return r["chain"], first, start, last, stop

    def chain_keys(self):
        """The keys as Note.signed_by takes them."""
        return [
            (key, *bounds)
            for kid, key in self.keys.items()
            for bounds in ([(None, None, None)] if self.validity[kid] is None else [(r[0], r[1], r[3]) for r in self.validity[kid]])
        ]

    def admits(self, record):
        """Whether the set lets the key sign this record; it has no say in keys that it does not hold."""
        ranges = self.validity.get(record["kid"])
        if ranges is None:
            return True
        seq, ts = int(record["chain"]["seq"]), moment(record["ts"])
        return any(
            chain == record["chain"]["id"] and seq >= first and ts >= start and (last is None or seq <= last) and (stop is None or ts <= stop)
            for chain, first, start, last, stop in ranges
        )


def parse_time(text):
    """Microseconds since 1970 of an RFC 3339 time."""
    at = datetime.datetime.fromisoformat(re.sub("Z$", "+00:00", text))
    return (at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


# --- A chain -----------------------------------------------------------------


class Chain:
    """Verifies the records of one chain as they come."""

    def __init__(self, pinned=None):
        self.pinned = pinned
        self.id = self.first = self.last = self.key = self.kid = None  # first and last are whole records
        self.past_kids = set()
        self.keys = []  # as Note.signed_by takes them
        self.records = self.receipts = self.withheld = self.lost = self.unproved = 0
        self.traces = collections.OrderedDict()  # trace id: (hop, hash), the longest unused first
        self.ids, self.id_order = set(), collections.deque()

    def add(self, line):
        """Take the next record, or say in Refused.seq which one is not good.

        A record that is damaged is named by its place, since what it says of
        itself proves nothing; the first one has no place but that.
        """
        record = {}
        try:
            if len(line) > MAX_LINE:
                raise Refused("canonical form", f"a line of {len(line)} bytes")
            record = parse(line)
            core = self.check_alone(record)
        except Refused as refused:
            refused.seq = int(self.last["chain"]["seq"]) + 1 if self.last else claimed_seq(record)
            raise
        try:
            self.check(record, core)
        except Refused as refused:
            refused.seq = int(record["chain"]["seq"])
            raise
        self.note(record)
        return record

    @staticmethod
    def check_alone(record):
        """What a record shows without those before; gives its core."""
        kind = record.get("type")
        if isinstance(kind, Number) or not isinstance(kind, str) or kind not in RECORDS:
            raise Refused("record type", f"{kind!r} is not known")
        check_members("", record, RECORDS[kind])
        check_head(record)
        VALUES[kind](record)
        core = canonical({name: value for name, value in record.items() if name not in ("receipt_hash", "signature", "detail")})
        if digest(core) != record["receipt_hash"]:
            raise Refused("hash", f"the record hashes to {digest(core)}")
        return core

    def check(self, record, core):
        if "detail" in record and digest(b"signet.detail/1\n" + canonical(record["detail"])) != record["detail_digest"]:
            raise Refused("detail digest", "the detail is not the one that it stands for")
        self.check_place(record)
        self.check_signature(record, core)
        if self.last and moment(record["ts"]) < moment(self.last["ts"]):
            raise Refused("time", "ts runs backwards")
        if record["type"] == "signet.receipt/1":
            self.check_trace(record)
        if record.get("event") == "key_change":
            self.check_key_change(record)

    def check_place(self, record):
        if not self.last:
            return
        chain, last = record["chain"], int(self.last["chain"]["seq"])
        seq, skipped = int(chain["seq"]), skips(record)
        if chain["id"] != self.id:
            raise Refused("chain id", f"a record of chain {chain['id']}")
        if seq > last + 1 + skipped:
            raise Refused("gap", f"records from seq {last + 1} on are missing")
        if seq < last + 1 + skipped:
            raise Refused("gap" if skipped else "order", f"it comes after seq {last}")
        if chain.get("prev") != self.last["receipt_hash"]:
            raise Refused("chain link", f"chain.prev is not the hash of seq {last}")

    def check_signature(self, record, core):
        if not self.last:
            self.trust(record)
        if record["kid"] != self.kid:
            raise Refused("key", f"signed with key {record['kid']}, but here the chain's key is {self.kid}")
        if self.pinned and not self.pinned.admits(record):
            raise Refused("key", f"signed with key {record['kid']} outside of its validity")
        if not signed(self.key, record["type"], core, record["signature"]):
            raise Refused("signature", f"the key {self.kid} did not sign this")

    def trust(self, record):
        """Find the key of the first record."""
        if self.pinned:
            if record["kid"] not in self.pinned.keys:
                raise Refused("key", f"signed with key {record['kid']}, which is not in the key set")
            self.key = self.pinned.keys[record["kid"]]
        elif record["type"] != "signet.genesis/1":
            raise Refused("key", "the records start after the genesis: a key set (JWKS) is needed")
        else:
            self.key = read_key(record["public_key"])
        self.kid = record["kid"]
        self.keys = [(self.key, record["chain"]["id"], int(record["chain"]["seq"]), None)]

    def check_trace(self, record):
        if record["receipt_id"] in self.ids:
            raise Refused("receipt id", f"{record['receipt_id']} was there already")
        hop, hash = self.traces.get(record["trace_id"], (0, None))
        if hop == 0 and self.last and int(self.first["chain"]["seq"]) > 1 or hop == 0 and not self.last:
            self.unproved += 1
        elif int(record["hop"]) != hop + 1 or record["prev_receipt_hash"] != hash:
            raise Refused("hop link", f"hop {record['hop']} does not follow hop {hop} of trace {record['trace_id']}")

    def check_key_change(self, record):
        key, chain = record["key"], record["chain"]["id"]
        try:
            data = read_key(key["public_key"])
        except ValueError as error:
            raise Refused("key", f"key.public_key: {error}") from None
        if thumbprint(key["public_key"]) != key["kid"]:
            raise Refused("key", "key.kid is not the thumbprint of key.public_key")
        statement = {"chain": chain, "kid": key["kid"], "prev_kid": self.kid, "public_key": key["public_key"]}
        if key["kid"] == self.kid or key["kid"] in self.past_kids:
            raise Refused("key", f"the key {key['kid']} is introduced again")
        if not signed(data, "signet.key/1", canonical(statement), key["proof"]):
            raise Refused("key", "key.proof: the new key did not sign this")
        self.past_kids.add(self.kid)
        self.key, self.kid = data, key["kid"]
        seq, (old, _, first, _) = int(record["chain"]["seq"]), self.keys.pop()
        self.keys += [(old, chain, first, seq), (data, chain, seq + 1, None)]

    def note(self, record):
        if not self.last:
            self.first, self.id = record, record["chain"]["id"]
        self.records += 1
        self.last = record
        if record["type"] == "signet.receipt/1":
            self.receipts += 1
            self.withheld += "detail" not in record
            self.note_trace(record)
        if "lost" in record.get("gap", {}):
            self.lost += skips(record)
            self.traces.clear()

    def note_trace(self, record):
        self.traces[record["trace_id"]] = int(record["hop"]), record["receipt_hash"]
        self.traces.move_to_end(record["trace_id"])
        if len(self.traces) > MAX_TRACES:
            self.traces.popitem(last=False)
        self.ids.add(record["receipt_id"])
        self.id_order.append(record["receipt_id"])
        if len(self.id_order) > RECEIPT_ID_WINDOW:
            self.ids.remove(self.id_order.popleft())

    def kids(self):
        return self.past_kids | {self.kid}


def claimed_seq(record):
    """The seq that a damaged record gives itself, 1 if it gives none."""
    chain = record.get("chain")
    seq = chain.get("seq") if isinstance(chain, dict) else None
    return int(seq) if isinstance(seq, Number) and re.fullmatch("[0-9]+", seq) and 0 < int(seq) <= MAX_INT else 1


def skips(record):
    """How many seqs right before a record a recovery left out, as the record itself says."""
    lost = record.get("gap", {}).get("lost", {})
    if "last" not in lost or int(lost["last"]) != int(record["chain"]["seq"]) - 1:
        return 0
    return int(lost["last"]) - int(lost["first"]) + 1


def lines(stream):
    """The lines of a stream without their newlines; one that is too long comes cut, and is still too long."""
    while line := stream.readline(MAX_LINE + 2):
        yield line[:-1] if line.endswith(b"\n") else line


# --- Checkpoints: docs/receipt.md, C2SP signed notes ---------------------------

ORIGIN = "signet/chain/"
CHECKPOINT = re.compile(r"signet/chain/(.*)\n([1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\n(.*)\n", re.ASCII)


class SignedNote:
    """A text and who signed it: C2SP signed-note."""

    def __init__(self, text):
        if re.search("[\x00-\x09\x0b-\x1f]", text):
            raise ValueError("a control character")
        self.text, blank, signatures = text.rpartition("\n\n")
        if not blank or not signatures.endswith("\n"):
            raise ValueError("not a signed note")
        self.text += "\n"
        self.signatures = [self.signature(line) for line in signatures[:-1].split("\n")]

    @staticmethod
    def signature(line):
        dash, name, text, *more = line.split(" ")[:4] + [""] * 3
        data = base64.b64decode(text, validate=True)
        if dash != "\u2014" or not name or "+" in name or len(data) < 5 or any(more):
            raise ValueError("not a signature of a note")
        return name, data[:4], data[4:]

    def signed_with(self, name, key):
        """Whether the key of that name has signed this."""
        id = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
        for signer, key_id, signature in self.signatures:
            if signer == name and key_id == id:
                try:
                    Ed25519PublicKey.from_public_bytes(key).verify(signature, self.text.encode())
                except InvalidSignature:
                    return False
                return True
        return False


class Note(SignedNote):
    """A signed checkpoint. Its form is checked here, and whether to believe it in signed_by."""

    def __init__(self, text):
        super().__init__(text)
        match = CHECKPOINT.fullmatch(self.text)
        if not match or moment(match[4]) is None or int(match[2]) > 2**63 - 1:
            raise ValueError("not a checkpoint of a chain")
        hash = base64.b64decode(match[3])
        if base64.b64encode(hash).decode() != match[3]:
            raise ValueError("not a hash in base64")
        self.chain, self.seq, self.hash = match[1], int(match[2]), "sha256:" + hash.hex()

    def signed_by(self, keys):
        """Whether one of the keys, (key, chain, first seq, last seq), which signs the record after, has signed this."""
        name, after = ORIGIN + self.chain, self.seq + 1
        for key, chain, first, last in keys:
            if chain is not None and not (chain == self.chain and after >= first and (last is None or after <= last)):
                continue
            if self.signed_with(name, key):
                return True
        return False


class Audit:
    """Holds a chain, as it is read, against notes."""

    def __init__(self, notes):
        self.notes = sorted(notes, key=lambda note: note.seq)
        self.met = []  # for each note that was reached: the hash there, None if no record stands there

    def note(self, record):
        seq = int(record["chain"]["seq"])
        while len(self.met) < len(self.notes) and self.notes[len(self.met)].seq <= seq:
            self.met.append(record["receipt_hash"] if self.notes[len(self.met)].seq == seq else None)

    def check(self, chain, trusted):
        keys = chain.keys + (trusted.chain_keys() if trusted else [])
        for i, note in enumerate(self.notes):
            if note.chain != chain.id:
                raise Refused("checkpoint", f"it is of chain {note.chain}", note.seq)
            if not note.signed_by(keys):
                raise Refused("checkpoint", "it is not signed by the key that signs the record after it", note.seq)
            if i >= len(self.met):
                last = int(chain.last["chain"]["seq"])
                raise Refused("truncation", f"the records end at seq {last}, and the chain had seq {note.seq}", last + 1)
            if self.met[i] not in (None, note.hash):
                raise Refused("rewrite", f"the chain had a record of the hash {note.hash} there", note.seq)


def read_notes(text):
    """The notes of a file, an empty line after each."""
    parts = text.rstrip("\n").split("\n\n")
    if len(parts) % 2:
        raise ValueError("a checkpoint that is not whole")
    return [Note(f"{head}\n\n{signatures}\n") for head, signatures in zip(parts[::2], parts[1::2])]


# --- A collector's log: RFC 6962, section 2.1 --------------------------------


class Policy:
    """Whose cosignatures a checkpoint must have: C2SP tlog-policy."""

    def __init__(self):
        self.logs, self.witnesses, self.rule = [], [], None  # rule is a function of the set of witnesses; None: no quorum yet

    @classmethod
    def needing(cls, needed, vkeys):
        policy = cls()
        for vkey in vkeys:
            policy.add(vkey)
        if needed is None:
            needed = len(vkeys)
        if not 1 <= needed <= len(vkeys):
            raise ValueError(f"{needed} cosignatures of {len(vkeys)} witnesses")
        policy.rule = lambda cosigned: len(cosigned) >= needed
        return policy

    @classmethod
    def read(cls, text):
        if len(text) > 64 << 10 or re.search("[\x00-\x08\x0b-\x1f\x7f]", text):
            raise ValueError("too long, or a control character")
        policy, named, members = cls(), {"none": None}, set()
        for number, line in enumerate(text.split("\n"), 1):
            try:
                words = [word for word in re.split("[ \t]+", line) if word]
                if words and not words[0].startswith("#"):
                    policy.line(words, named, members)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
        if not policy.rule:
            raise ValueError("it has no line quorum NAME")
        return policy

    def line(self, words, named, members):
        kind, count = words[0], len(words)
        if kind == "log" and count in (2, 3):
            vkey = read_vkey(words[1], 1)
            if any(vkey[2] == other[2] for other in self.logs):
                raise ValueError("the key is there already")
            self.logs.append(vkey)
        elif kind == "witness" and count in (3, 4):
            witness = self.add(words[2])
            self.define(named, words[1], lambda cosigned: witness in cosigned)
        elif kind == "group" and count >= 4:
            parts = words[3:]
            for part in parts:
                if not named.get(part) or part in members:
                    raise ValueError(f"{part} is not defined, or a member of a group already")
                members.add(part)
            if words[2] not in ("any", "all") and not re.fullmatch("[1-9][0-9]{0,8}", words[2]):
                raise ValueError("none of all, any and a number")
            needed = {"any": 1, "all": len(parts)}.get(words[2]) or int(words[2])
            if needed > len(parts):
                raise ValueError("more than there are")
            rules = [named[part] for part in parts]
            self.define(named, words[1], lambda cosigned: sum(rule(cosigned) for rule in rules) >= needed)
        elif kind == "quorum" and count == 2 and not self.rule and words[1] in named:
            self.rule = named[words[1]] or (lambda cosigned: True)
        else:
            raise ValueError("not a line of a policy, or a quorum that is not defined")

    @staticmethod
    def define(named, name, rule):
        if name in named:
            raise ValueError(f"the name {name} is taken")
        named[name] = rule

    def add(self, vkey):
        witness = read_vkey(vkey, 4)
        if any(witness[2] == other[2] for other in self.witnesses):
            raise ValueError("two witnesses with one key")
        self.witnesses.append(witness)
        return witness

    def check(self, note, log_key):
        """Refuse a checkpoint that the log's key (name, key) has signed and too few witnesses have."""
        if self.logs and not any((name, key) == log_key for name, _, key in self.logs):
            raise ValueError("the policy has no log with this key")
        cosigned = set()
        for witness in self.witnesses:
            name, id, key = witness
            signatures = [signature for signer, key_id, signature in note.signatures if (signer, key_id) == (name, id)]
            if not signatures:
                continue
            seconds = int.from_bytes(signatures[0][:8], "big")
            message = f"cosignature/v1\ntime {seconds}\n{note.text}".encode()
            try:
                if seconds > 253402300799:
                    raise InvalidSignature
                Ed25519PublicKey.from_public_bytes(key).verify(signatures[0][8:], message)
            except InvalidSignature:
                raise ValueError(f"the cosignature of {name} is not by its key, or is of another checkpoint") from None
            cosigned.add(witness)
        if not self.rule(cosigned):
            raise ValueError(f"the checkpoint is cosigned by {', '.join(name for name, _, _ in cosigned) or 'nobody'}, which are too few")


def read_vkey(text, kind):
    """Name, key id and key of a verifier key (C2SP signed-note) of a signature type: 1 a log's, 4 a witness's."""
    name, id, key = (text.split("+", 2) + ["", ""])[:3]
    key = base64.b64decode(key, validate=True)
    if not name or re.search(r"\s", name) or len(key) != 33 or key[0] != kind:
        raise ValueError(f"{text!r} is not a verifier key of signature type {kind}")
    if id != hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8]:
        raise ValueError(f"{text!r} has a wrong id")
    return name, bytes.fromhex(id), key[1:]


def check_log(log, key, receipt_hash, policy):
    """Holds the proof that a record is in a log against a checkpoint signed with the key, and cosigned as the policy, if there is one, says."""
    note = SignedNote(log["checkpoint"])
    name, size, root, *_ = note.text.split("\n")
    if not name or re.search(r"[\s+]", name) or not note.signed_with(name, key):
        raise ValueError("the checkpoint is not signed by the manifest's key")
    if not re.fullmatch("0|[1-9][0-9]{0,18}", size, re.ASCII) or int(size) > 2**63 - 1:
        raise ValueError("no size in the checkpoint")
    root = base64.b64decode(root, validate=True)
    hash = hashlib.sha256(b"\0" + bytes.fromhex(receipt_hash.removeprefix("sha256:"))).digest()
    proof = [bytes.fromhex(text) for text in log["proof"]]
    if any(len(sibling) != 32 for sibling in proof) or root_of(int(log["index"]), int(size), hash, proof) != root:
        raise ValueError("the proof does not lead from the record to the root of the checkpoint")
    if policy:
        policy.check(note, (name, key))
    return len(note.signatures) - 1


def root_of(index, size, hash, proof):
    """The root that a proof of inclusion leads to (RFC 9162, section 2.1.3.2), or None."""
    if not 0 <= index < size:
        return None
    last = size - 1
    for sibling in proof:
        if last == 0:
            return None
        if index % 2 == 1 or index == last:
            hash = hashlib.sha256(b"\1" + sibling + hash).digest()
            while index % 2 == 0 and index > 0:
                index, last = index >> 1, last >> 1
        else:
            hash = hashlib.sha256(b"\1" + hash + sibling).digest()
        index, last = index >> 1, last >> 1
    return hash if last == 0 else None


# --- A bundle: docs/bundle.md ------------------------------------------------

VALIDITY = {"chain": TEXT, "from_seq": INTEGER, "from": TIME, "to_seq": (COUNT, OPTIONAL), "to": (TIME, OPTIONAL)}
JWK = {"alg": TEXT, "crv": TEXT, "kid": TEXT, "kty": TEXT, "use": TEXT, "x": TEXT, "validity": ([VALIDITY], OPTIONAL)}
MANIFEST = {
    "type": TEXT, "tenant": TEXT, "build": TEXT, "created": TIME, "profile": TEXT, "chain": TEXT,
    "filter": ({"agent": (TEXT, OPTIONAL), "trace": (TEXT, OPTIONAL)}, OPTIONAL),
    "period": {"from": TIME, "to": TIME},
    "first": {"seq": INTEGER, "prev": (TEXT, OPTIONAL), "receipt_hash": TEXT},
    "last": {"seq": INTEGER, "prev": (TEXT, OPTIONAL), "receipt_hash": TEXT},
    "record_count": INTEGER, "receipt_count": INTEGER, "details_withheld": INTEGER,
    "integrity_hash": TEXT, "checkpoints": ([TEXT], OPTIONAL),
    "log": ({"checkpoint": TEXT, "index": INTEGER, "proof": [TEXT]}, OPTIONAL), "keys": {"keys": [JWK]}, "kid": TEXT, "signature": (TEXT, OPTIONAL),
}  # fmt: skip
NAMES = b"records.jsonl", b"manifest.json"
DIRECTORY_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
END, END64, LOCATOR = struct.Struct("<4sHHHHIIH"), struct.Struct("<4sQHHIIQQQQ"), struct.Struct("<4sIQI")
M32 = 0xFFFFFFFF


class Entry:
    """What the directory says of one entry."""

    def __init__(self, crc, compressed, size):
        self.crc, self.compressed, self.size = crc, compressed, size
        self.wide = compressed >= M32 or size >= M32

    def descriptor(self):
        return struct.pack("<4sIQQ" if self.wide else "<4sIII", b"PK\x07\x08", self.crc, self.compressed, self.size)


def local_header(name):
    return struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 8, 8, 0, 0, 0, 0, 0, len(name), 0) + name


def directory_entry(name, entry, offset):
    extra, compressed, size = b"", entry.compressed, entry.size
    if entry.wide or offset >= M32:
        extra = struct.pack("<HHQQQ", 1, 24, size, compressed, offset)
        compressed = size = M32
    version = 45 if entry.wide else 20
    head = DIRECTORY_ENTRY.pack(
        b"PK\x01\x02", 20, version, 8, 8, 0, 0, entry.crc, compressed, size, len(name), len(extra), 0, 0, 0, 0, min(offset, M32)
    )
    return head + name + extra


def directory_end(offset, length):
    count, wide = 2, b""
    if offset >= M32:
        end = offset + length
        wide = END64.pack(b"PK\x06\x06", END64.size - 12, 45, 45, 0, 0, 2, 2, length, offset) + LOCATOR.pack(b"PK\x06\x07", 0, end, 1)
        count, length, offset = 0xFFFF, M32, M32
    return wide + END.pack(b"PK\x05\x06", 0, 0, count, count, length, offset, 0)


class Bundle:
    """A zip file of which every byte around the two entries is known beforehand."""

    def __init__(self, stream):
        self.stream = stream
        self.length = stream.seek(0, 2)
        try:
            self.records, self.manifest = self.directory()
        except (struct.error, IndexError):
            self.bad("it does not end as a zip file of two entries does")
        self.check_frame()

    @staticmethod
    def bad(why):
        raise Refused("layout", why, 0)

    def at(self, offset, length):
        if offset < 0:
            self.bad("too short")
        self.stream.seek(offset)
        return self.stream.read(length)

    def directory(self):
        """Both entries, as the directory has them; what it says is checked afterwards."""
        tail = self.at(max(0, self.length - 1024), 1024)
        count, length, offset = END.unpack(tail[-END.size :])[4:7]
        end = len(tail) - END.size
        if count == 0xFFFF:
            end -= LOCATOR.size + END64.size
            length, offset = END64.unpack(tail[end : end + END64.size])[8:10]
        if not 0 < length <= end:
            self.bad("its directory is not that of two entries")
        directory, entries = tail[end - length : end], []
        for _ in range(2):
            head = DIRECTORY_ENTRY.unpack(directory[: DIRECTORY_ENTRY.size])
            crc, compressed, size, name, extra = head[7:12]
            behind = DIRECTORY_ENTRY.size + name
            if extra:
                size, compressed = struct.unpack("<QQ", directory[behind + 4 : behind + 20])
            entries.append(Entry(crc, compressed, size))
            directory = directory[behind + extra :]
        return entries

    def check_frame(self):
        """Write what must stand around the data of the entries, and compare."""
        header = local_header(NAMES[0])
        self.records_at = len(header)
        middle_at = self.records_at + self.records.compressed
        second = middle_at + len(self.records.descriptor())
        middle = self.records.descriptor() + local_header(NAMES[1])
        self.manifest_at = middle_at + len(middle)
        end_at = self.manifest_at + self.manifest.compressed
        directory_at = end_at + len(self.manifest.descriptor())
        directory = directory_entry(NAMES[0], self.records, 0) + directory_entry(NAMES[1], self.manifest, second)
        end = self.manifest.descriptor() + directory + directory_end(directory_at, len(directory))
        if end_at + len(end) != self.length:
            self.bad("the file has another length than its entries make")
        for offset, part in (0, header), (middle_at, middle), (end_at, end):
            if self.at(offset, len(part)) != part:
                self.bad(f"what stands around the entries, near byte {offset}, is not what an export writes")

    def read(self, entry, offset):
        """The data of an entry, in pieces."""
        inflater, crc, size, left, pending = zlib.decompressobj(-15), 0, 0, entry.compressed, b""
        while not inflater.eof:
            if not pending:
                pending = self.at(offset, min(left, 65536))
                offset, left = offset + len(pending), left - len(pending)
                if not pending:
                    self.bad("the data of an entry is cut off")
            try:
                piece = inflater.decompress(pending, 1 << 20)
            except zlib.error as error:
                self.bad(f"an entry cannot be inflated: {error}")
            pending = inflater.unconsumed_tail
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            yield piece
            if size > entry.size:
                self.bad("an entry is larger than it is said to be")
        if left or inflater.unused_data or size != entry.size or crc != entry.crc:
            self.bad("an entry is not what it is said to be, or there is data behind it")

    def read_manifest(self):
        if self.manifest.size > MAX_MANIFEST:
            self.bad("a manifest too large")
        return b"".join(self.read(self.manifest, self.manifest_at))

    def read_records(self):
        """Lines as in JSON lines, and the hash of all bytes in the end."""
        rest = b""
        for piece in self.read(self.records, self.records_at):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > MAX_LINE:
                yield rest
        if rest:
            yield rest


class Manifest:
    """Reads and checks a manifest, and holds it against the records."""

    def __init__(self, data):
        try:
            self.members = m = parse(data)
            check_members("", m, MANIFEST)
            if m["type"] != "signet.bundle/1":
                raise Refused("record type", f"{m['type']!r} is not known")
            for key in m["keys"]["keys"]:
                for name, value in ("alg", "EdDSA"), ("crv", "Ed25519"), ("kty", "OKP"), ("use", "sig"):
                    hold("keys." + name, key[name], one_of(value))
                hold("keys.kid", key["kid"], bool)
            self.keys = KeySet().read(m["keys"])
            hold("profile", m["profile"], one_of("full", "core"))
            hold("tenant", m["tenant"], bool)
            hold("filter", m.get("filter"), bool)
            self.check_signature()
            self.notes = self.read_notes()
        except Refused as refused:
            refused.seq = 0
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise Refused("field", f"keys: {error}", 0) from None
        self.wrong = None  # the first record that is not as the manifest says
        self.cosignatures = 0  # beside the log's signature of its checkpoint
        self.hash = hashlib.sha256()

    def read_notes(self):
        """The checkpoints, each of a record in the bundle."""
        notes, before = [], int(self.members["first"]["seq"])
        for text in self.members.get("checkpoints", []):
            try:
                note = Note(text)
            except ValueError as error:
                field("checkpoints", error)
            if not before <= note.seq <= int(self.members["last"]["seq"]):
                field("checkpoints", f"one of seq {note.seq} is not in order or not in the bundle")
            before = note.seq
            notes.append(note)
        return notes

    def check_signature(self):
        kid = self.members["kid"]
        if kid not in self.keys.keys:
            raise Refused("key", f"signed with key {kid}, which is not among its keys")
        core = canonical({name: value for name, value in self.members.items() if name != "signature"})
        if not signed(self.keys.keys[kid], "signet.bundle/1", core, self.members.get("signature", "")):
            raise Refused("signature", f"the key {kid} did not sign this")

    def note(self, record):
        m, seq = self.members, int(record["chain"]["seq"])
        if self.wrong:
            return
        if record.get("tenant", m["tenant"]) != m["tenant"]:
            self.wrong = Refused("tenant", f"a record of tenant {record['tenant']!r}", seq)
        elif record["type"] == "signet.receipt/1" and self.keeps(record) != ("detail" in record):
            self.wrong = Refused("profile", "profile and filter say otherwise of the receipt's detail", seq)

    def keeps(self, record):
        wanted = self.members.get("filter", {})
        return (
            self.members["profile"] == "full"
            and wanted.get("agent", record["agent"]) == record["agent"]
            and wanted.get("trace", record["trace_id"]) == record["trace_id"]
        )

    def check(self, chain, trusted, policy):
        m, first, last = self.members, chain.first, chain.last
        if m["kid"] not in trusted.keys and m["kid"] not in chain.kids():
            raise Refused("key", f"signed with key {m['kid']}, which is not in the key set and which no record introduces", 0)
        for cause, good in (
            ("chain id", m["chain"] == chain.id),
            ("first record", m["first"] == link(first)),
            ("last record", m["last"] == link(last)),
        ):
            if not good:
                raise Refused(cause, "not the one that the manifest names", 0)
        if self.wrong:
            raise self.wrong
        counts = [int(m[name]) for name in ("record_count", "receipt_count", "details_withheld")]
        for cause, good in (
            ("count", counts == [chain.records, chain.receipts, chain.withheld]),
            ("period", m["period"] == {"from": first["ts"], "to": last["ts"]}),
            ("integrity hash", m["integrity_hash"] == "sha256:" + self.hash.hexdigest()),
        ):
            if not good:
                raise Refused(cause, "not what the manifest says", 0)
        if "log" not in m and policy:
            raise Refused("log", "there is no proof of a log, whose checkpoint witnesses could have cosigned", 0)
        if "log" in m:
            try:
                self.cosignatures = check_log(m["log"], self.keys.keys[m["kid"]], m["last"]["receipt_hash"], policy)
            except ValueError as error:
                raise Refused("log", error, 0) from None


def link(record):
    chain = record["chain"]
    prev = {"prev": chain["prev"]} if "prev" in chain else {}
    return {"seq": chain["seq"], **prev, "receipt_hash": record["receipt_hash"]}


# --- The command -------------------------------------------------------------


def verify_bundle(stream, pinned, notes, policy):
    bundle = Bundle(stream)
    manifest = Manifest(bundle.read_manifest())
    trusted = pinned or manifest.keys
    last = int(manifest.members["last"]["seq"])
    chain, own = Chain(trusted), Audit(manifest.notes)
    kept = Audit([note for note in notes if note.chain == manifest.members["chain"] and note.seq <= last])
    for line in bundle.read_records():
        manifest.hash.update(line + b"\n")
        record = chain.add(line)
        for witness in manifest, own, kept:
            witness.note(record)
    if not chain.records:
        raise Unreadable("no records: nothing was verified")
    manifest.check(chain, trusted, policy)
    own.check(chain, trusted)
    kept.check(chain, trusted)
    return chain, manifest


def verify_lines(stream, pinned, notes, policy):
    if policy:
        raise Unreadable("witnesses cosign logs: only a bundle has the checkpoint of one")
    chain, kept = Chain(pinned), None
    for line in lines(stream):
        record = chain.add(line)
        kept = kept or Audit([note for note in notes if note.chain == chain.id])
        kept.note(record)
    if not kept:
        raise Unreadable("no records: nothing was verified")
    kept.check(chain, pinned)
    return chain, None


def verify(path, pinned, notes, policy):
    if path == "-":
        return verify_lines(sys.stdin.buffer, pinned, notes, policy)
    with open(path, "rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        return (verify_bundle if magic == b"PK\x03\x04" else verify_lines)(stream, pinned, notes, policy)


def describe(chain, manifest, pinned, policy):
    first, last = chain.first["chain"]["seq"], chain.last["chain"]["seq"]
    text = f"verified: {chain.receipts} receipts, chain {chain.id}, seq {first}-{last}, head {chain.last['receipt_hash']}\n"
    source = "pinned" if pinned else f"taken on trust from the {'bundle' if manifest else 'genesis'}; pin it with --jwks"
    text += f"key: {chain.first['kid']}, {source}"
    if manifest and manifest.cosignatures:
        checked = "cosigned as the policy demands" if policy else "not checked; see --witness"
        text += f"\nwitnesses: {manifest.cosignatures} signatures beside the log's on its checkpoint, {checked}"
    if chain.withheld:
        text += f"\ndetails: {chain.withheld} withheld"
    if chain.lost:
        text += f"\nloss: {chain.lost} records are missing, as a recovery says"
    if chain.unproved:
        text += f"\nhops: not proved for the first hop of {chain.unproved} traces"
    return text


def answer(path, pinned, notes, policy, as_json):
    """Print what was found, and return the exit status."""
    try:
        chain, manifest = verify(path, pinned, notes, policy)
    except Refused as refused:
        if as_json:
            print(json.dumps({"verified": False, "path": path, "seq": refused.seq, "cause": refused.cause, "error": str(refused.why)}))
        else:
            print(f"not verified: {path}: {'seq %d: ' % refused.seq if refused.seq else ''}{ascii(str(refused))[1:-1]}", file=sys.stderr)
        return 1
    except (Unreadable, OSError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    if as_json:
        first, last = int(chain.first["chain"]["seq"]), int(chain.last["chain"]["seq"])
        print(json.dumps({
            "verified": True, "path": path, "chain": chain.id, "receipts": chain.receipts, "records": chain.records, "first_seq": first,
            "last_seq": last, "head": chain.last["receipt_hash"], "kid": chain.first["kid"], "pinned": bool(pinned),
            "details_withheld": chain.withheld, "records_lost": chain.lost, "hops_unproved": chain.unproved, "cosigned": bool(policy),
        }))  # fmt: skip
    else:
        print(describe(chain, manifest, pinned, policy))
    return 0


def main():
    parser = argparse.ArgumentParser(description="Verify Signet's bundles and records.")
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a bundle, a file of records as JSON lines, or - for standard input")
    parser.add_argument("--jwks", metavar="FILE", action="append", help="trust only the keys of this JWKS, and those that they introduce; may be given several times")
    parser.add_argument("--checkpoints", metavar="FILE", help="hold the chains against the checkpoints in this file too")
    parser.add_argument("--witness", metavar="VKEY", action="append", help="want the log's checkpoint in a bundle cosigned by the witness with this verifier key; may be given several times")
    parser.add_argument("--witnesses-needed", metavar="N", type=int, help="how many of them must have cosigned it; all, if it is not given")
    parser.add_argument("--witness-policy", metavar="FILE", help="want it cosigned as this policy (C2SP tlog-policy) says")
    parser.add_argument("--json", action="store_true", help="write one object for each PATH")
    options = parser.parse_args()
    pinned, notes, policy = KeySet() if options.jwks else None, [], None
    path = options.checkpoints
    try:
        for path in options.jwks or []:
            with open(path, "rb") as stream:
                pinned.read(json.load(stream))
        if options.checkpoints:
            path = options.checkpoints
            with open(path, encoding="utf-8", newline="") as stream:
                notes = read_notes(stream.read())
        if options.witness_policy:
            path = options.witness_policy
            if options.witness or options.witnesses_needed:
                raise ValueError("--witness and --witnesses-needed do not go with a policy")
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
                policy = Policy.read(stream.read())
        elif options.witness or options.witnesses_needed is not None:
            path = "--witness"
            policy = Policy.needing(options.witnesses_needed, options.witness or [])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return max(answer(path, pinned, notes, policy, options.json) for path in options.paths)


if __name__ == "__main__":
    sys.exit(main())

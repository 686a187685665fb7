"""Where checks and notifications may connect to: a pure decision, taken before connecting and again at every redirect.

Internal targets are legal: watching them is the job. Refused by default are the addresses that only an attacker wants us to
ask: cloud metadata services and other link-local addresses, unspecified, multicast and broadcast ones.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED = tuple(
    (ipaddress.ip_network(network), why)
    for network, why in (
        ("169.254.0.0/16", "link-local and cloud metadata"),
        ("fe80::/10", "link-local"),
        ("fd00:ec2::254/128", "cloud metadata"),
        ("100.100.100.200/32", "cloud metadata"),
        ("168.63.129.16/32", "cloud metadata"),
        ("0.0.0.0/8", "unspecified"),
        ("::/128", "unspecified"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("255.255.255.255/32", "broadcast"),
    )
)
_REFUSED_NAMES = {"metadata.google.internal", "metadata.goog", "metadata", "instance-data"}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class EgressRules:
    """`allow` lifts the built-in refusals, `deny` adds to them and wins over everything."""

    allow: tuple[IpNetwork, ...] = ()
    deny: tuple[IpNetwork, ...] = ()

    def refusal(self, address: str) -> str:
        """Why `address` (an IP address as text) may not be connected to; empty = it may."""
        for ip in _meanings(address):
            if any(_inside(ip, network) for network in self.deny):
                return f"{address} is on the deny list (egress.deny)"
            if any(_inside(ip, network) for network in self.allow):
                continue
            for network, why in _REFUSED:
                if _inside(ip, network):
                    return f"{address} is refused ({why}); egress.allow can permit it"
        return ""

    def refusal_outside(self, address: str) -> str:
        """Why a stranger's `address` may not be connected to; empty = it is on the public internet.

        `allow` lifts nothing here: it was said for what the operator watches.
        """
        if refusal := EgressRules(deny=self.deny).refusal(address):
            return refusal
        meanings = _meanings(address)
        if all(_public(ip) for ip in meanings if not (len(meanings) > 1 and ip in _NAT64)):
            return ""
        return f"{address} is not on the public internet"

    def refusal_of_name(self, host: str) -> str:
        """Why `host` may not even be resolved; empty = it may."""
        if host.rstrip(".").lower() in _REFUSED_NAMES and not self.allow:
            return f"{host} is refused (cloud metadata); egress.allow can permit it"
        return ""


def parse_networks(texts: tuple[str, ...]) -> tuple[IpNetwork, ...]:
    """Networks or single addresses. Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _meanings(address: str) -> list[IpAddress]:
    """The address itself and the IPv4 address that an IPv6 form of it reaches."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    out: list[IpAddress] = [ip]
    if ip.ipv4_mapped is not None:
        out = [ip.ipv4_mapped]
    elif ip.sixtofour is not None:
        out.append(ip.sixtofour)
    elif ip in _NAT64:
        out.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return out


def _public(ip: IpAddress) -> bool:
    """An address of one machine that anybody can reach. Tunnels (Teredo) could lead anywhere."""
    if ip.is_multicast or ip.is_reserved or not ip.is_global:
        return False
    return isinstance(ip, ipaddress.IPv4Address) or (ip in _GLOBAL_UNICAST and ip.teredo is None)


def _inside(ip: IpAddress, network: IpNetwork) -> bool:
    return ip.version == network.version and ip in network


def literal_address(host: str) -> str:
    """The address that `host` spells, in any form the C library accepts (`127.1`, `0x7f000001`, `017700000001`); else empty."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return _loose_ipv4(host)


def _loose_ipv4(host: str) -> str:
    """inet_aton's reading: one to four numbers, decimal, octal or hexadecimal, the last one filling what is left."""
    parts = host.split(".")
    if len(parts) > 4:
        return ""
    try:
        numbers = [int(part, 0 if part[:2].lower() == "0x" else 8 if part[:1] == "0" else 10) for part in parts]
    except ValueError:
        return ""
    *high, last = numbers
    if any(not 0 <= number < 256 for number in high) or not 0 <= last < 256 ** (4 - len(high)):
        return ""
    value = last + sum(number << (8 * (3 - place)) for place, number in enumerate(high))
    return str(ipaddress.IPv4Address(value))

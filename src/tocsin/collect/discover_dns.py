"""dns_sd: targets from SRV, A, AAAA, MX or NS records."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.resolver

from tocsin.collect.discover import DiscoveryFailed
from tocsin.collect.fields import address_text
from tocsin.collect.target import DnsDiscovery, TargetGroup
from tocsin.model.labels import Labels

_TIMEOUT_S = 10.0


async def dns_groups(discovery: DnsDiscovery) -> tuple[TargetGroup, ...]:
    """Ask for every name. A name that does not exist has no targets; any other failure raises DiscoveryFailed."""
    out = []
    for name in discovery.names:
        try:
            answer = await dns.asyncresolver.resolve(name, discovery.type, lifetime=_TIMEOUT_S, search=True)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            out.append(TargetGroup((), source=name))
            continue
        except (dns.exception.DNSException, OSError) as error:
            raise DiscoveryFailed(f"{name}: {error}") from None
        out.extend(_group(name, discovery, record) for record in answer)
    return tuple(out)


def _group(name: str, discovery: DnsDiscovery, record: object) -> TargetGroup:
    labels = {"__meta_dns_name": name}
    host, port = _host(record), discovery.port
    match discovery.type:
        case "SRV":
            port = getattr(record, "port", 0)
            labels |= {"__meta_dns_srv_record_target": f"{host}.", "__meta_dns_srv_record_port": str(port)}
        case "MX":
            labels["__meta_dns_mx_record_target"] = f"{host}."
        case "NS":
            labels["__meta_dns_ns_record_target"] = f"{host}."
    return TargetGroup((address_text(host, port),), Labels(labels), source=f"{name}:{host}:{port}")


def _host(record: object) -> str:
    for field in ("address", "target", "exchange"):
        if (value := getattr(record, field, None)) is not None:
            return str(value).rstrip(".")
    return str(record)

"""URLs are read in one way only, and whatever isn't the public internet is known as such."""

from __future__ import annotations

import ipaddress
import string

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.tools.function import BadArguments
from smidgen.tools.web.addresses import MAX_URL, PORTS, Address, BadURL, host_name, is_public, join, parse

READ = [
    ("http://example.com", "http", "example.com", 80, "/"),
    ("  https://example.com/a?b=c#d\n", "https", "example.com", 443, "/a?b=c"),
    ("HTTPS://EXAMPLE.Com.:8443/A", "https", "example.com", 8443, "/A"),
    ("http://example.com?q", "http", "example.com", 80, "/?q"),
    ("http://example.com#@127.0.0.1/", "http", "example.com", 80, "/"),
    ("http://example.com/@127.0.0.1", "http", "example.com", 80, "/@127.0.0.1"),
    ("http://example.com/%2e%2E/%zz", "http", "example.com", 80, "/%2e%2E/%zz"),
    ('http://example.com/ü"<>?x={é}', "http", "example.com", 80, "/%C3%BC%22%3C%3E?x=%7B%C3%A9%7D"),
    ("http://my_host.example.com/", "http", "my_host.example.com", 80, "/"),
    ("http://bücher.example/", "http", "xn--bcher-kva.example", 80, "/"),
    ("http://\u212aernel.example/", "http", "kernel.example", 80, "/"),
    ("http://1.1.1.1./", "http", "1.1.1.1", 80, "/"),
    ("http://127\u30020\u30020\u30021/", "http", "127.0.0.1", 80, "/"),
    ("http://[2606:4700::0:1111]:81/", "http", "2606:4700::1111", 81, "/"),
    ("http://127.0.0.1.example.com/", "http", "127.0.0.1.example.com", 80, "/"),
    ("http://0x7f.example/", "http", "0x7f.example", 80, "/"),
]

REFUSED = [
    *("", " ", "example.com", "example.com:80/x", "//example.com/", "/path", "http:", "http:example.com"),
    "http:/e.com",
    *("http:///example.com", "http://", "http://:80/", "http://?x", "ttp://e.com", "ht tp://e.com", "http\t://e.com"),
    *("file:///etc/passwd", "ftp://e.com/", "gopher://e.com/", "javascript:alert(1)", "data:text/html,x"),
    "ws://e.com/",
    *("http://user@e.com/", "http://user:pass@e.com/", "http://e.com@127.0.0.1/", "http://e.com:80@127.0.0.1/"),
    *("http://127.0.0.1\\@e.com/", "http:\\\\e.com", "http://e.com\\.evil.com/", "http://e.com/\\x"),
    "http://e.com/a b",
    *("http://e.com/\nx", "http://e\n.com/", "http://e.com/\r\nHost: x", "http://e.com\0.evil.com/"),
    "http://e.com/\x7f",
    *("http://e.com/\u2028", "http://e\u00ad.com/", "http://e.com/\u202ex", "http://e.com/\udc80"),
    "http://e\u00a0.com/",
    *("http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://017700000001/", "http://127.1/"),
    "http://1/",
    *("http://0177.0.0.1/", "http://127.0.0.01/", "http://127.0.0.0x1/", "http://256.1.1.1/", "http://1.2.3.4.5/"),
    *("http://0x/", "http://1.2.3/", "http://127.0.0.1../", "http://\uff11\uff12\uff17.0.0.1/", "http://\u2460.com/"),
    *("http://127.0.0.1%00.e.com/", "http://%31%32%37.0.0.1/", "http://e%2ecom/", "http://[::1%25lo]/"),
    "http://[fe80::1%lo]/",
    *("http://[::1", "http://::1/", "http://[::1]x/", "http://[127.0.0.1]/", "http://[]/", "http://[::1]:/"),
    "http://e[.com/",
    *("http://e.com:0/", "http://e.com:65536/", "http://e.com:080/", "http://e.com:/", "http://e.com:-1/"),
    "http://e.com:+80/",
    *("http://e.com:8\u0660/", "http://e.com:80:80/", "http://e.com:1e3/", "http://e.com:80 /", "http://e..com/"),
    "http://.e.com/",
    *("http://-e.com/", "http://e-.com/", "http://e,com/", "http://e.com;x/", "http://'/", "http://*/"),
    "http://e.com../",
    *("http://" + "a" * 64 + ".com/", "http://" + "a." * 127 + "com/", "http://e.com/" + "a" * MAX_URL),
    "http://ü" + "a" * 63,
]  # fmt: skip


@pytest.mark.parametrize(("url", "scheme", "host", "port", "target"), READ)
def test_a_url_is_taken_apart(url: str, scheme: str, host: str, port: int, target: str) -> None:
    assert parse(url) == Address(scheme, host, port, target)
    assert parse(parse(url).url) == parse(url)


@pytest.mark.parametrize("url", REFUSED, ids=lambda url: ascii(url)[:40])
def test_what_others_read_differently_is_refused(url: str) -> None:
    with pytest.raises(BadURL) as caught:
        parse(url)
    assert caught.value.code == "bad_url" and caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x?y#z", "https://e.com:8443/x?y"),
        ("x", "https://e.com:8443/a/x"),
        ("?x", "https://e.com:8443/a/b?x"),
        ("#x", "https://e.com:8443/a/b?c"),
        ("//other.com/x", "https://other.com/x"),
        ("http://other.com", "http://other.com/"),
        ("@127.0.0.1/", "https://e.com:8443/a/@127.0.0.1/"),
        ("/ü", "https://e.com:8443/%C3%BC"),
    ],
)
def test_a_redirect_leads_from_where_it_was_given(location: str, url: str) -> None:
    assert join(parse("https://e.com:8443/a/b?c"), location).url == url


@pytest.mark.parametrize(
    "location", ["//127.1/", "http:/x", "file:///etc/passwd", "\\\\e.com", "/a b", "//u@e.com", "http://0x7f.1", "x:y"]
)
def test_a_redirect_goes_through_the_same_parser(location: str) -> None:
    with pytest.raises(BadURL):
        join(parse("https://e.com/a"), location)


def test_a_host_alone_is_read_alike() -> None:
    assert [host_name(host) for host in ("LOCALHOST", "::1", "[::1]", "e.com.")] == ["localhost", "::1", "::1", "e.com"]
    for host in ("e.com:80", "http://e.com", "a/b", "", "u@e.com", "127.1"):
        with pytest.raises(BadURL):
            host_name(host)


PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"),
    "11.0.0.1",
    *("192.167.255.255", "169.253.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"),
]  # fmt: skip

NOT_PUBLIC = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "100.100.100.200", "192.0.0.192", "192.0.0.9"),
    *("168.63.129.16", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "2606:4700::1%lo", "fec0::1", "ff02::1"),
    "ff0e::1",
    *("2001:db8::1", "3fff::1", "2001:2::1", "2001:10::1", "2001:20::1", "100::1", "5f00::1", "4000::1"),
    "64:ff9b:1::808:808",
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1", "::127.0.0.1", "::8.8.8.8"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::6440:1", "2002:7f00:1::1", "2002:a00:1::"),
    *("2001:0:7f00:1::f7f7:f7f7", "2001:0:808:808::80ff:fffe", "", "localhost", "127.1", "2130706433", "1.1.1.1 "),
    "0177.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_are_known(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize("ip", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_known(ip: str) -> None:
    assert not is_public(ip)


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        assert not is_public(ip) or (mapped is not None and is_public(mapped))
    if isinstance(ip, ipaddress.IPv4Address):
        for prefix in ("::ffff:0:0", "64:ff9b::"):
            assert is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(ip))) == is_public(ip)


HOSTS = st.one_of(
    st.text(alphabet="abx019.-_[]:%@\\ü。", max_size=20),
    st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
    st.text(max_size=12),
    st.sampled_from(["localhost", "127.1", "example.com", "[::1]", "xn--bcher-kva.de", "\uff11\uff12\uff17.0.0.1"]),
)
URLS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="htps:/.@\\?#[]%01a x\t", max_size=30),
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(
            ["http://", "https://", "HTTP://", "http:/", "http:", "//", "ftp://", "http://a@", "http:\\\\"]
        ),
        HOSTS,
        st.sampled_from(["", ":80", ":", ":0", ":99999", ":8080", "@b", ".", "%00"]),
        st.sampled_from(["", "/", "?", "#", "\\", "/..", "//"]),
        st.text(max_size=10),
    ),
)
HOST_LETTERS = frozenset(string.ascii_lowercase + string.digits + "-_.")


@settings(max_examples=500, deadline=None)
@given(URLS)
def test_any_text_is_refused_or_read_as_the_http_library_reads_it(url: str) -> None:
    try:
        address = parse(url)
    except BadArguments:
        return
    host = address.host
    if ":" in host:
        assert host == str(ipaddress.IPv6Address(host))
    else:
        assert host and set(host) <= HOST_LETTERS and not host.startswith(".") and not host.endswith(".")
        if host.rpartition(".")[2].isdecimal():
            assert str(ipaddress.IPv4Address(host)) == host
    assert address.scheme in PORTS and 1 <= address.port <= 65535
    assert address.target.startswith("/") and address.target.isascii() and address.target.isprintable()
    assert parse(address.url) == address
    for written in (url.strip(" \t\r\n"), address.url):
        theirs = httpx2.URL(written)
        their_host = theirs.raw_host.decode("ascii").removesuffix(".")
        if ":" in their_host:
            their_host = str(ipaddress.IPv6Address(their_host))
        assert (theirs.scheme, their_host, theirs.port or PORTS[theirs.scheme]) == (address.scheme, host, address.port)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="htps:/.@\\?#[]%01ax", max_size=30))
def test_any_redirect_is_refused_or_stays_readable(location: str) -> None:
    try:
        onward = join(parse("https://e.com/a/b"), location)
    except BadArguments:
        return
    assert parse(onward.url) == onward

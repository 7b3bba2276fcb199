"""URL inputs: from public addresses only, by the address that was checked, within bounds."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from decart_lab import DecartClient
from decart_lab._http import tls
from decart_lab._wire import Timeouts
from decart_lab.api import fetch as fetching
from decart_lab.api.fetch import Fetcher, is_public, resolve
from decart_lab.errors import InvalidInputError

from ..helpers.serve import serve, serve_raw
from .service import Service

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.170",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:100.64.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2002:c0a8:101::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff00::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
]
NONSENSE = ["", "x", "1.2.3", "127.1", "2130706433", "0x7f.1", "1.2.3.4.5", "12345::"]


@pytest.mark.parametrize("address", PRIVATE + NONSENSE)
def test_no_address_inside_a_network_is_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_ordinary_addresses_are_public(address):
    assert is_public(address)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "::{}", "64:ff9b::{}"]))
def test_an_address_inside_another_is_never_more_public_than_itself(address, wrapper):
    if is_public(wrapper.format(address)):
        assert is_public(str(address))


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public(address):
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(str(ipaddress.ip_address(address)))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "::1"]
)
async def test_every_spelling_of_this_machine_is_recognised_after_resolving(host):
    assert not any(is_public(text) for text in await resolve(host, 80))


URLS = [
    "http://127.0.0.1:1/x.png",
    "http://localhost/x.png",
    "http://[::1]/x.png",
    "http://[::ffff:127.0.0.1]/x.png",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://169.254.169.254/latest/meta-data/",
    "https://10.0.0.1/",
    "http://192.168.1.1/",
    "http://[fd00:ec2::254]/",
    "http://user:password@127.0.0.1/",
    "http://user@example.com/x.png",
    "http:///x.png",
    "http://",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "http://[::1/",
    "http://example.com/\r\nx",
    "https://x/" + "a" * 5000,
]


@pytest.mark.anyio
@pytest.mark.parametrize("url", URLS)
async def test_an_unusable_or_private_address_is_refused_before_any_connection(
    connected, url, outside_attempts
):
    service = Service(generate=[b""])
    async with connected(service) as client:
        with pytest.raises(InvalidInputError) as caught:
            await client.process(model="lucy-image-2", prompt="x", data=url)
    assert caught.value.field == "data"
    assert caught.value.hint
    assert "password" not in str(caught.value)
    assert service.calls == []


def pictures(cat, hops):
    async def picture(request):
        hops.append(dict(request.headers))
        return Response(cat.read_bytes(), media_type="text/plain")

    async def hop(request):
        hops.append(dict(request.headers))
        left = int(request.path_params["n"])
        return RedirectResponse(f"/hop/{left - 1}" if left else "/cat.jpg")

    async def to(request):
        return RedirectResponse(request.query_params["url"])

    async def missing(request):
        return Response("no", 404)

    async def huge(request):
        return Response(b"x" * 3_000_000)

    return Starlette(
        routes=[
            Route("/cat.jpg", picture),
            Route("/hop/{n}", hop),
            Route("/to", to),
            Route("/missing", missing),
            Route("/huge", huge),
        ]
    )


@pytest.fixture
def site(cat):
    """A site of pictures on loopback, with the headers of whoever came."""
    hops = []
    with serve(pictures(cat, hops)) as url:
        yield url, hops


@pytest.mark.anyio
async def test_a_picture_is_fetched_without_the_key_and_sent_on(connected, cat, site):
    url, hops = site
    service = Service(generate=[cat.read_bytes()])
    async with connected(service, allow_private_urls=True) as client:
        await client.process(model="lucy-image-2", prompt="x", data=f"{url}/hop/2?sig=1")
    assert service.forms[0]["data"] == ("data.jpg", "image/jpeg", cat.read_bytes())
    assert len(hops) == 4
    for headers in hops:
        assert "x-api-key" not in headers
        assert headers["user-agent"].startswith("decart-lab/")
        assert headers["host"] == url.removeprefix("http://")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/hop/3", "more than 3 times"),
        ("/missing", "status 404"),
        ("/to?url=file:///etc/passwd", "not an address"),
        ("/to?url=ftp://example.com/x", "not an address"),
        ("/to?url=http://user:pw@example.com/", "credentials"),
        ("/huge", "more than 2,000,000 bytes"),
    ],
)
async def test_addresses_that_lead_nowhere_good_are_refused(
    connected, site, monkeypatch, path, why
):
    url, _ = site
    monkeypatch.setattr(fetching, "MAX_BYTES", 2_000_000)
    service = Service(generate=[b""])
    async with connected(service, allow_private_urls=True) as client:
        with pytest.raises(InvalidInputError, match=why) as caught:
            await client.process(model="lucy-image-2", prompt="x", data=url + path)
    assert caught.value.field == "data"
    assert service.calls == []


def fetcher(resolver, *, allow_private=False):
    return Fetcher(
        allow_private=allow_private,
        user_agent="test",
        timeouts=Timeouts(connect_s=2, read_s=2),
        resolver=resolver,
    )


@pytest.mark.anyio
async def test_a_redirect_into_the_network_is_checked_again(site, outside_attempts):
    url, _ = site
    port = int(url.rpartition(":")[2])
    asked = []

    async def resolver(host, port):
        asked.append(host)
        return {"public.example": ["127.0.0.1"], "inside.example": ["10.0.0.5"]}[host]

    monkey = pytest.MonkeyPatch()
    monkey.setattr(fetching, "is_public", lambda text: text == "127.0.0.1")
    with monkey.context():
        async with fetcher(resolver) as fetch:
            with pytest.raises(InvalidInputError, match="private network"):
                await fetch(f"http://public.example:{port}/to?url=http://inside.example/", "data")
    monkey.undo()
    assert asked == ["public.example", "inside.example"]
    assert outside_attempts == []


@pytest.mark.anyio
async def test_a_host_that_has_one_private_address_is_refused():
    async def resolver(host, port):
        return ["93.184.216.34", "127.0.0.1"]

    async with fetcher(resolver) as fetch:
        with pytest.raises(InvalidInputError, match="private network"):
            await fetch("http://rebinding.example/x.png", "data")


@pytest.mark.anyio
async def test_the_connection_goes_to_the_very_address_that_was_checked(site):
    url, hops = site
    port = int(url.rpartition(":")[2])
    asked = []

    async def resolver(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.5"]

    async with fetcher(resolver, allow_private=True) as fetch:
        path = await fetch(f"http://picture.example:{port}/cat.jpg", "data")
        assert path.stat().st_size > 0
    assert asked == ["picture.example"]
    assert hops[0]["host"] == f"picture.example:{port}"
    assert not path.exists(), "the fetched file outlived its call"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate for named.example, and the file that makes a process trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "named.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("named.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "trust.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(private + pem)
    return folder


@pytest.fixture
def tls_site(authority, monkeypatch):
    """A TLS server that redirects to plain http, trusted under the name named.example."""
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    answer = b"HTTP/1.1 302 Go\r\nlocation: http://named.example/\r\ncontent-length: 0\r\n\r\n"

    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(4000)
            secured.sendall(answer)

    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "trust.pem"))
    tls.cache_clear()
    with serve_raw(handle) as url:
        yield int(url.rpartition(":")[2]), names
    tls.cache_clear()


async def here(host, port):
    """Every name leads to this machine."""
    return ["127.0.0.1"]


@pytest.mark.anyio
async def test_https_is_checked_against_the_name_though_the_address_is_dialled(tls_site):
    port, names = tls_site
    async with fetcher(here, allow_private=True) as fetch:
        with pytest.raises(InvalidInputError, match="could not be fetched"):
            await fetch(f"https://other.example:{port}/x.png", "data")
    assert names == ["other.example"]


@pytest.mark.anyio
async def test_a_redirect_from_https_to_plain_http_is_refused(tls_site):
    port, names = tls_site
    async with fetcher(here, allow_private=True) as fetch:
        with pytest.raises(InvalidInputError, match="from https to plain http"):
            await fetch(f"https://named.example:{port}/x.png", "data")
    assert names == ["named.example"]


@pytest.mark.anyio
async def test_an_unknown_host_is_a_sentence():
    async def resolver(host, port):
        raise OSError("Name or service not known")

    async with fetcher(resolver) as fetch:
        with pytest.raises(InvalidInputError, match=r"not known: 'nowhere\.example'"):
            await fetch("http://nowhere.example/x.png", "data")


@pytest.mark.anyio
async def test_nothing_is_fetched_for_a_request_that_another_input_spoils(site):
    url, hops = site
    async with DecartClient("dct_x1234", allow_private_urls=True) as client:
        with pytest.raises(InvalidInputError):
            await client.process(
                model="lucy-image-2", prompt="x", data=f"{url}/cat.jpg", reference_image="no.png"
            )
    assert hops == []

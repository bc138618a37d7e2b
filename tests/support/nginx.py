"""A real nginx in front of the app, as hosts have it.

Where there is none, importing this skips the tests with that reason.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ports import free_port, wait_until_open

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
if not NGINX:
    pytest.skip("no nginx: it is neither on the PATH nor in /usr/sbin", allow_module_level=True)

CONFIGURATION = """
{user}
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxied; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        location {path} {{
            proxy_pass {app};
            {headers}
        }}
    }}
}}
"""
#: `$host` is without the port, as most instructions have it.
HEADERS = """
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
"""


@dataclass(frozen=True)
class SetUp:
    """How nginx stands in front: what it says in headers, and which path it adds."""

    headers: bool = False
    tls: bool = False
    path: str = "/"
    strips: bool = True


SET_UPS = {
    "with headers": SetUp(headers=True),
    "without headers": SetUp(),
    "TLS with headers": SetUp(headers=True, tls=True),
    "TLS without headers": SetUp(tls=True),
    "a path": SetUp(path="/a/chat/"),
    "a path that stays": SetUp(headers=True, path="/a/chat/", strips=False),
}


@contextmanager
def nginx(set_up: SetUp, app: str, folder: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Run nginx before the app at the address `app`; give the page's address as `host` has it."""
    port = free_port()
    if set_up.tls:
        _certify(folder)
    configuration = CONFIGURATION.format(
        user="user root;" if os.geteuid() == 0 else "",
        port=port,
        tls=" ssl;\n ssl_certificate cert.pem;\n ssl_certificate_key key.pem" * set_up.tls,
        path=set_up.path,
        app=f"http://{urlsplit(app).netloc}{'/' * set_up.strips}",
        headers=HEADERS * set_up.headers,
    )
    (folder / "nginx.conf").write_text(configuration)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    process = subprocess.Popen(command, cwd=folder)
    try:
        wait_until_open(port, process)
        yield f"http{'s' * set_up.tls}://{host}:{port}{set_up.path}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _certify(folder: Path) -> None:
    """Write a key and a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.test")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = made.sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

"""The emulator's signing key: client tokens as Ed25519 JWTs, and the JWKS that verifies them.

The key pair lives in the world's folder, readable by its owner only, so that tokens survive a
restart. Claims follow wire contract section 6; ``iat`` and ``nbf`` are left out, since an
accelerated clock runs ahead of that of whoever verifies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .records import TokenRecord
from .settings import PLATFORM

ORGANIZATION: Final = "org_emulator"
USER: Final = "user_emulator"


class Keyring:
    """Signs and checks client tokens.

    Parameters
    ----------
    folder : Path
        Where the key pair is kept; made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._key = _load(folder / "signing_key.pem")
        public = self._key.public_key().public_bytes_raw()
        self.kid = hashlib.sha256(public).hexdigest()[:16]
        self._x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
        self._hash_key = hashlib.sha256(b"ek:" + self._key.private_bytes_raw()).digest()

    def jwks(self) -> dict[str, Any]:
        """Return the public half as ``GET /api/auth/jwks`` serves it."""
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
        return {"keys": [key | {"kid": self.kid, "x": self._x}]}

    def hash(self, opaque: str) -> str:
        """Return the keyed hash under which an ``ek_`` token is remembered."""
        return hmac.new(self._hash_key, opaque.encode(), hashlib.sha256).hexdigest()

    def sign(self, token: TokenRecord, parent: str, metadata: dict[str, Any] | None) -> str:
        """Return the signed form of a client token."""
        claims: dict[str, Any] = {
            "iss": PLATFORM,
            "aud": PLATFORM,
            "sub": USER,
            "exp": int(token.expires_at.timestamp()),
            "jti": token.id,
            "organizationId": ORGANIZATION,
            "parent_api_key_id": parent,
            "api_key_name": "emulator",
            "service_tier": 1,
            "zeroDataRetention": False,
        }
        optional = {
            "models": token.models,
            "origins": token.origins,
            "constraints": token.constraints,
            "attribution": (metadata or {}).get("attribution"),
        }
        claims |= {name: value for name, value in optional.items() if value is not None}
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.kid})

    def verify(self, token: str, now: datetime) -> str | None:
        """Return the id of the client token, or None for one that is forged or expired."""
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["EdDSA"],
                issuer=PLATFORM,
                audience=PLATFORM,
                # Expiry goes by the emulator's clock, not by the machine's.
                options={"require": ["exp", "sub", "jti"], "verify_exp": False},
            )
            expires = datetime.fromtimestamp(int(claims["exp"]), UTC)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError):
            return None
        return str(claims["jti"]) if expires > now else None


def _load(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(key, Ed25519PrivateKey):
            return key
        raise ValueError(f"{path} does not hold an Ed25519 key")
    made = Ed25519PrivateKey.generate()
    text = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
    return made

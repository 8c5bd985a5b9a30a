"""Judges ID tokens with nothing but an issuer URL, the way a relying party written in Python would, with PyJWT.

    python verify-pyjwt.py ISSUER AUDIENCE CA-FILE [ALGORITHM,…] < tokens

One token per line on standard input, one JSON line per token on standard output, in the same order. Without algorithms
those of the discovery document are accepted, as it is at the start. With --version alone it prints the version of PyJWT.
"""

import json
import ssl
import sys
import urllib.request

import jwt

if sys.argv[1:] == ["--version"]:
    print(jwt.__version__)
    sys.exit()
issuer, audience, ca_file, *accepted = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca_file)
document = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
with urllib.request.urlopen(document, context=tls, timeout=10) as answer:
    metadata = json.load(answer)
if metadata["issuer"] != issuer:
    sys.exit(f"the document is of the issuer {metadata['issuer']}")
algorithms = accepted[0].split(",") if accepted else metadata["id_token_signing_alg_values_supported"]
keys = jwt.PyJWKClient(metadata["jwks_uri"], ssl_context=tls)

for line in sys.stdin:
    token = line.strip()
    try:
        claims = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=algorithms,
            issuer=issuer,
            audience=audience,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        verdict = {"ok": True, "subject": claims["sub"], "claims": claims}
    except jwt.PyJWTError as error:
        verdict = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(verdict), flush=True)

"""Verifies the JWTs that come in, one a line, by the key set at the URL that is
the first argument, and answers each with a line of JSON: the claims, or why
not. The second argument is the issuer, the third the audience."""

import json
import sys

import jwt

url, issuer, audience = sys.argv[1:]
keys = jwt.PyJWKClient(url, cooldown_duration=0)
for token in sys.stdin:
    token = token.strip()
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key.key, algorithms=["RS256", "ES256", "EdDSA"], issuer=issuer, audience=audience)
        answer = {"claims": claims, "header": jwt.get_unverified_header(token)}
    except Exception as e:
        answer = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), flush=True)

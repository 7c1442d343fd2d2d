"""Signs a person in by Authlib, as a Flask or Django application does, and gets a
token for the program itself by a secret and by a key. Arguments: our issuer, a
client and its secret, another for services and its secret, the person's address."""

import json
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the program under test has no TLS of its own

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.common.security import generate_token
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

issuer, web, web_secret, robot, robot_secret, email = sys.argv[1:]
callback = "http://localhost:3000/callback"
meta = requests.get(issuer + "/.well-known/openid-configuration", timeout=10).json()
keys = KeySet.import_key_set(requests.get(meta["jwks_uri"], timeout=10).json())


def ask(**what):
    print(json.dumps(what), flush=True)
    return json.loads(sys.stdin.readline())


def refused(code, call):
    try:
        call()
    except OAuthError as err:
        assert err.error == code, err.error
    else:
        raise AssertionError("was not refused with " + code)


def check(token, nonce):
    """What Authlib's framework integrations do with an ID token."""
    read = jwt.decode(token["id_token"], keys, algorithms=["RS256", "ES256"])
    claims = CodeIDToken(
        read.claims, read.header, {"iss": {"values": [issuer]}, "aud": {"value": web}},
        {"nonce": nonce, "client_id": web, "access_token": token["access_token"]},
    )
    claims.validate()
    return claims


def session(**more):
    return OAuth2Session(web, web_secret, scope="openid profile email offline_access", redirect_uri=callback, code_challenge_method="S256", **more)


for method in ["client_secret_basic", "client_secret_post"]:
    s = session(token_endpoint_auth_method=method, token_endpoint=meta["token_endpoint"])
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = s.create_authorization_url(meta["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    assert create_s256_code_challenge(verifier) in url
    back = ask(open=url)["callback"]
    token = s.fetch_token(meta["token_endpoint"], authorization_response=back, code_verifier=verifier, state=state)
    claims = check(token, nonce)
    info = s.get(meta["userinfo_endpoint"]).json()
    assert (info["sub"], info["email"]) == (claims["sub"], email), info
    token = s.refresh_token(meta["token_endpoint"], token["refresh_token"])
    assert s.introspect_token(meta["introspection_endpoint"], token["access_token"]).json()["active"] is True
    s.revoke_token(meta["revocation_endpoint"], token["refresh_token"], token_type_hint="refresh_token")
    assert s.introspect_token(meta["introspection_endpoint"], token["access_token"]).json() == {"active": False}
    refused("invalid_grant", lambda: s.refresh_token(meta["token_endpoint"], token["refresh_token"]))

service = OAuth2Session(robot, robot_secret)
token = service.fetch_token(meta["token_endpoint"], grant_type="client_credentials")
assert jwt.decode(token["access_token"], keys, algorithms=["ES256"]).claims["sub"] == robot

# A client that registers a key and proves itself by it (RFC 7523).
key = ECKey.generate_key("P-256", {"kid": "k", "use": "sig", "alg": "ES256"})
made = requests.post(meta["registration_endpoint"], timeout=10, json={
    "client_name": "Authlib", "application_type": "native", "redirect_uris": ["http://127.0.0.1:3000/callback"],
    "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {"keys": [key.as_dict(private=False)]},
}).json()
s = OAuth2Session(made["client_id"], key, scope="openid email", redirect_uri="http://127.0.0.1:3000/callback",
                  code_challenge_method="S256", token_endpoint_auth_method=PrivateKeyJWT(meta["token_endpoint"], alg="ES256"))
verifier = generate_token(48)
url, state = s.create_authorization_url(meta["authorization_endpoint"], code_verifier=verifier, resource=issuer)
token = s.fetch_token(meta["token_endpoint"], authorization_response=ask(open=url)["callback"], code_verifier=verifier, state=state)
assert s.get(meta["userinfo_endpoint"]).json()["email"] == email
print(json.dumps({"done": {}}), flush=True)

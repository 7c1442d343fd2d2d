"""A client of the Tofu API as its front end is one: requests for the wire, PyJWT
for the tokens. The arguments are the base URL, e-mail address, password and the
key of the tokens. It prints what it saw as one line of JSON."""
import json
import sys
import time

import jwt
import requests

base, email, password, key = sys.argv[1:]
api = requests.Session()


def call(path, body=None, token=None):
    headers = {"Authorization": "Bearer " + token} if token else {}
    return api.post(base + path, json=body, headers=headers)


def claims(token):
    return jwt.decode(token, key, algorithms=["HS256"], leeway=5, options={"require": ["exp", "iat", "jti", "token_type", "user_id"]})


seen = {}
pair = call("/api/token/", {"email": email, "password": password})
pair.raise_for_status()
pair = pair.json()
access, refresh = claims(pair["access"]), claims(pair["refresh"])
assert list(pair) == ["refresh", "access"], list(pair)
assert jwt.get_unverified_header(pair["access"]) == {"alg": "HS256", "typ": "JWT"}
assert list(access)[:5] == ["token_type", "exp", "iat", "jti", "user_id"], list(access)
assert access["iat"] == refresh["iat"] and access["user_id"] == refresh["user_id"]
seen["lifetimes"] = [access["exp"] - access["iat"], refresh["exp"] - refresh["iat"]]

time.sleep(1.1)
fresh = call("/api/token/refresh/", {"refresh": pair["refresh"]})
fresh.raise_for_status()
again = claims(fresh.json()["access"])
assert again["iat"] > access["iat"] and again["jti"] != access["jti"] and again["sid"] == access["sid"]
assert call("/api/token/verify/", {"token": fresh.json()["access"]}).json() == {}

# requests follows a redirect of a POST with a GET, and sees that there is none.
short = call("/api/token", {"email": email, "password": password})
seen["without slash"] = [short.history[0].status_code, short.status_code, short.json()["detail"]]
seen["wrong"] = [call("/api/token/", {"email": email, "password": "nope"}).status_code]
out = call("/api/core/auth/logout/", token=pair["access"])
seen["logout"] = out.json()
seen["after"] = call("/api/token/refresh/", {"refresh": pair["refresh"]}).json()
print(json.dumps(seen))

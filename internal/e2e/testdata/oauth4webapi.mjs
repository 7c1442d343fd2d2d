// Signs a person in to a public client by oauth4webapi, which checks all that it
// is told, and plays the resource server that the token is for. Arguments: our
// issuer, the resource.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { ask, done, refused } from './relying.mjs'

const [issuer, resource] = process.argv.slice(2)
const callback = 'http://127.0.0.1:3000/callback'
const http = { [oauth.allowInsecureRequests]: true }

// Both kinds of metadata say the same (RFC 8414 §3, OpenID Connect Discovery §4).
const at = new URL(issuer)
const as = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { algorithm: 'oauth2', ...http }))
assert.deepEqual(as, await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { algorithm: 'oidc', ...http })))
assert.equal(as.authorization_response_iss_parameter_supported, true)

const registered = await oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(as, {
  client_name: 'oauth4webapi', application_type: 'native', redirect_uris: [callback], token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
}, http))
const client = { client_id: registered.client_id }

const verifier = oauth.generateRandomCodeVerifier()
const nonce = oauth.generateRandomNonce()
const state = oauth.generateRandomState()
const url = new URL(as.authorization_endpoint)
const asked = {
  client_id: client.client_id, redirect_uri: callback, response_type: 'code', scope: 'openid profile email offline_access', state, nonce, resource,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
}
for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)

const { callback: back } = await ask({ open: url.href })
const parameters = oauth.validateAuthResponse(as, client, new URL(back), state)
const exchange = (verifier) => oauth.authorizationCodeGrantRequest(as, client, oauth.None(), parameters, callback, verifier, { ...http, additionalParameters: { resource } })
const response = await exchange(verifier)
const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
await oauth.validateApplicationLevelSignature(as, response, http)
const { sub } = oauth.getValidatedIdTokenClaims(tokens)

// The resource takes the token by its own name, and by no other (RFC 9068 §4).
const carrying = (token) => new Request(resource, { headers: { authorization: `Bearer ${token}` } })
const read = await oauth.validateJwtAccessToken(as, carrying(tokens.access_token), resource, http)
assert.deepEqual([read.sub, read.client_id, read.aud], [sub, client.client_id, resource])
await assert.rejects(oauth.validateJwtAccessToken(as, carrying(tokens.access_token), issuer, http))
await assert.rejects(oauth.validateJwtAccessToken(as, carrying(tokens.id_token), client.client_id, http))

// Refreshed without a resource parameter it is for the same one (RFC 8707 §2.2).
const refresh = async (token) => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, oauth.None(), token, http))
const fresh = await refresh(tokens.refresh_token)
await oauth.validateJwtAccessToken(as, carrying(fresh.access_token), resource, http)

// A code that comes again ends what came of it (RFC 9700 §4.5).
const again = async () => oauth.processAuthorizationCodeResponse(as, client, await exchange(verifier))
await refused('invalid_grant', again())
await refused('invalid_grant', refresh(fresh.refresh_token))
await done({ sub })

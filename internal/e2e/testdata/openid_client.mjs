// Signs people in by openid-client, in every way it knows that we have. Arguments:
// our issuer, the address that hears of logouts, the person's e-mail address.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { createLocalJWKSet, exportJWK, jwtVerify } from 'jose'
import { ask, done, refused } from './relying.mjs'

const [issuer, hears, email] = process.argv.slice(2)
const callback = 'http://127.0.0.1:3000/callback'
const bye = 'http://127.0.0.1:3000/bye'
const http = { execute: [client.allowInsecureRequests] }

async function register(metadata, auth) {
  return client.dynamicClientRegistration(new URL(issuer), {
    client_name: 'openid-client', application_type: 'native', redirect_uris: [callback], post_logout_redirect_uris: [bye],
    grant_types: ['authorization_code', 'refresh_token'], ...metadata,
  }, auth, http)
}

// signIn is the code flow with PKCE; build makes the URL.
async function signIn(config, parameters = {}, build = client.buildAuthorizationUrl, options = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  const url = await build(config, {
    redirect_uri: callback, scope: 'openid profile email offline_access', state: expectedState, nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256', ...parameters,
  }, options)
  const back = await ask({ open: url.href })
  const tokens = await client.authorizationCodeGrant(config, new URL(back.callback), {
    pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true, maxAge: parameters.max_age,
  }, undefined, options)
  const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, options)
  assert.equal(info.email, email)
  return tokens
}

// A confidential client with a secret: refresh, introspection, revocation.
{
  const config = await register({ token_endpoint_auth_method: 'client_secret_post' })
  const tokens = await signIn(config, { max_age: 600 })
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token)
  const says = await client.tokenIntrospection(config, fresh.access_token)
  assert.deepEqual([says.active, says.iss, says.client_id], [true, issuer, config.clientMetadata().client_id])
  await client.tokenRevocation(config, fresh.refresh_token)
  assert.equal((await client.tokenIntrospection(config, fresh.access_token)).active, false)
  await refused('invalid_grant', client.refreshTokenGrant(config, fresh.refresh_token))
}

// Keys in place of a secret, a pushed request, tokens bound to a DPoP key.
{
  const pair = await client.randomDPoPKeyPair('ES256', { extractable: true })
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES256', use: 'sig' }
  const config = await register({
    token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks: { keys: [jwk] }, dpop_bound_access_tokens: true,
    require_pushed_authorization_requests: true, id_token_signed_response_alg: 'ES256',
  }, client.PrivateKeyJwt({ key: pair.privateKey, kid: 'k' }))
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const tokens = await signIn(config, {}, client.buildAuthorizationUrlWithPAR, { DPoP })
  assert.equal(tokens.token_type, 'dpop')
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  await client.fetchUserInfo(config, fresh.access_token, tokens.claims().sub, { DPoP })
  await assert.rejects(client.fetchUserInfo(config, fresh.access_token, tokens.claims().sub))
}

// A request in a signed object, and a signed answer (JAR, JARM), to a form.
{
  const pair = await client.randomDPoPKeyPair('ES256', { extractable: true })
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES256', use: 'sig' }
  const config = await register({
    token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [jwk] }, request_object_signing_alg: 'ES256', require_signed_request_object: true,
  }, client.PrivateKeyJwt({ key: pair.privateKey, kid: 'k' }))
  client.useJwtResponseMode(config)
  await signIn(config, { prompt: 'login' }, (c, p) => client.buildAuthorizationUrlWithJAR(c, p, { key: pair.privateKey, kid: 'k' }))
}

// A device.
{
  const config = await register({
    token_endpoint_auth_method: 'none', redirect_uris: undefined, post_logout_redirect_uris: undefined,
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  }, client.None())
  const code = await client.initiateDeviceAuthorization(config, { scope: 'openid email offline_access' })
  await ask({ device: code.verification_uri_complete })
  const tokens = await client.pollDeviceAuthorizationGrant(config, code)
  assert.equal((await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).email, email)
}

// Signing out: the hint spares the question, and we tell the back channel.
{
  const config = await register({ token_endpoint_auth_method: 'client_secret_basic', backchannel_logout_uri: hears, backchannel_logout_session_required: true }, client.ClientSecretBasic())
  const tokens = await signIn(config)
  const back = await ask({ open: client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: bye, state: 'x y' }).href })
  const url = new URL(back.callback)
  assert.deepEqual([url.origin + url.pathname, url.searchParams.get('state')], [bye, 'x y'])
  const { logout_token } = await ask({ told: true })
  const keys = createLocalJWKSet(await (await fetch(config.serverMetadata().jwks_uri)).json())
  const { payload } = await jwtVerify(logout_token, keys, { issuer, audience: config.clientMetadata().client_id, typ: 'logout+jwt', requiredClaims: ['iat', 'jti', 'events'] })
  assert.deepEqual([payload.sub, payload.sid], [tokens.claims().sub, tokens.claims().sid])
  assert.equal(payload.nonce, undefined)
  await client.refreshTokenGrant(config, tokens.refresh_token) // offline_access outlives the session
}
await done({})

// Connects an MCP client of the official SDK to an MCP server that we guard, and
// calls its tool. All the SDK is told is where the server is. Arguments: the
// server, the client's metadata document or "".
import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { ask, done } from './relying.mjs'

const [server, document] = process.argv.slice(2)
const callback = 'http://127.0.0.1:3000/callback'
const kept = {}

// provider is where an application keeps what the SDK gives it.
const provider = {
  redirectUrl: callback,
  clientMetadataUrl: document || undefined,
  clientMetadata: {
    client_name: 'MCP client', redirect_uris: [callback], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'the-state',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier },
  codeVerifier: () => kept.verifier,
  redirectToAuthorization: (url) => { kept.url = url },
}

const connect = async () => {
  const client = new Client({ name: 'test', version: '1' })
  const transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: provider })
  try {
    await client.connect(transport)
  } catch (err) {
    return { err, transport }
  }
  return { client, transport }
}

// The server refuses, the SDK finds its way to us, and wants a browser.
const first = await connect()
assert.ok(first.err instanceof UnauthorizedError, String(first.err))
assert.equal(kept.url.searchParams.get('resource'), server)
assert.equal(kept.url.searchParams.get('code_challenge_method'), 'S256')
const { callback: back } = await ask({ open: kept.url.href })
const came = new URL(back).searchParams
assert.equal(came.get('state'), 'the-state')
await first.transport.finishAuth(came.get('code'))

const call = async (client) => (await client.callTool({ name: 'greet', arguments: {} })).content[0].text
const { client, err } = await connect()
assert.ok(client, String(err))
const said = await call(client)

// An access token that is no good any more is refreshed on the way.
const old = kept.tokens
kept.tokens = { ...old, access_token: 'expired' }
const later = await connect()
assert.ok(later.client, String(later.err))
assert.equal(await call(later.client), said)
assert.notEqual(kept.tokens.refresh_token, old.refresh_token)
await done({ said, client: kept.client.client_id })

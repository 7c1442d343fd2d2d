// Starts other people's identity providers on free ports, with one person each,
// prints their addresses as one line of JSON, and ends with its standard input.
// The arguments are the directory of the packages, and redirect URIs.
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

console.warn = console.info = () => {} // one line is all that is read
const load = async (name, file) => import(pathToFileURL(process.argv[2] + '/' + name + '/' + file).href)
const { createEmulator } = await load('emulate', 'dist/api.js')
const workos = await load('workos', 'dist/emulate/index.js')
const { default: Provider } = await load('oidc-provider', 'lib/index.js')

const freePort = () => new Promise((done, fail) => {
  const s = createServer().on('error', fail)
  s.listen(0, 'localhost', () => {
    const { port } = s.address()
    s.close(() => done(port))
  })
})
const id = 'sallyport', secret = 'a-secret-of-sallyport', backs = ['http://localhost:9/callback', ...process.argv.slice(3)]
const client = { client_id: id, client_secret: secret, name: 'Sallyport', redirect_uris: backs }
const seeds = {
  google: { users: [{ email: 'jane@gmail.com', name: 'Jane Doe' }], oauth_clients: [client] },
  github: { users: [{ login: 'jane', name: 'Jane Doe', email: 'jane@example.com' }], oauth_apps: [client] },
}
const places = {}
for (const [service, seed] of Object.entries(seeds)) {
  places[service] = (await createEmulator({ service, port: await freePort(), seed: { [service]: seed } })).url
}
const authkit = await workos.createEmulator({
  port: await freePort(),
  seed: { users: [{ email: 'jane@example.com', first_name: 'Jane', last_name: 'Doe', email_verified: true }] },
})
places.workos = authkit.url
places.workosKey = authkit.apiKey

const port = await freePort()
places.oidc = 'http://localhost:' + port
const provider = new Provider(places.oidc, {
  clients: [{ client_id: id, client_secret: secret, redirect_uris: backs }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name'] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: 'jane@example.com', email_verified: true, name: 'Jane Doe', given_name: 'Jane', family_name: 'Doe' }),
  }),
})
provider.listen(port, 'localhost', () => console.log(JSON.stringify(places)))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))

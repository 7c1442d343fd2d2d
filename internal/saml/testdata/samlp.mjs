// Starts samlp, a SAML identity provider of other people's, with one person, prints
// its address as one line of JSON, and ends with its standard input. The arguments
// are the directory of the packages, and a JSON file with its key and certificate,
// ours (spCert), and where we are: entityID, acs, slo.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

console.warn = console.info = console.log // one line is all that is read
const require = createRequire(process.argv[2] + '/x.js')
const samlp = require('samlp')
const set = JSON.parse(readFileSync(process.argv[3], 'utf8'))

const issuer = 'urn:samlp.acme.com'
const user = {
  id: 'jane-at-acme', emails: [{ value: 'jane@acme.com' }], displayName: 'Jane Doe',
  name: { givenName: 'Jane', familyName: 'Doe' }, groups: ['staff', 'engineers'],
}
const both = { issuer, cert: set.cert, key: set.key, signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256' }
const variants = {
  assertion: {},
  response: { signResponse: true, signAssertion: false },
  both: { signResponse: true },
  encrypted: { encryptionPublicKey: set.spPublicKey, encryptionCert: set.spCert },
  cbc: {
    encryptionPublicKey: set.spPublicKey, encryptionCert: set.spCert, disallowEncryptionWithInsecureAlgorithm: false,
    warnOnInsecureEncryptionAlgorithm: false, encryptionAlgorithm: 'http://www.w3.org/2001/04/xmlenc#aes256-cbc',
  },
  sha1: { signatureAlgorithm: 'rsa-sha1', digestAlgorithm: 'sha1' },
  checked: { signingCert: set.spCert }, // our requests must be signed
}
const sso = (variant) => samlp.auth({
  ...both, ...variants[variant], getUserFromRequest: () => user, sessionIndex: '_samlp-session',
  getPostURL: (_audience, _dom, _req, done) => done(null, set.acs), destination: set.acs, recipient: set.acs,
})
const jane = {
  serviceProviderId: set.entityID, nameId: 'jane-at-acme', nameIdFormat: 'urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified',
  sessionIndex: '_samlp-session', serviceProviderLogoutURL: set.slo, cert: set.spCert, binding: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect',
}
const { default: Participants } = { default: require('samlp/lib/sessionParticipants') }
const kept = {}
const store = {
  save: (_req, state, done) => { const id = 'state-' + Object.keys(kept).length; kept[id] = state; done(null, id) },
  load: (_req, id, _options, done) => done(null, kept[id]),
}

const body = (req) => new Promise((done) => {
  let all = ''
  req.on('data', (chunk) => { all += chunk })
  req.on('end', () => done(Object.fromEntries(new URLSearchParams(all))))
})
const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://' + req.headers.host)
  req.query = Object.fromEntries(url.searchParams)
  req.body = req.method === 'POST' ? await body(req) : {}
  req.originalUrl = req.url
  req.protocol = 'http'
  res.set = (name, value) => res.setHeader(name, value)
  res.redirect = (to) => { res.writeHead(302, { Location: to }); res.end() }
  res.send = (what) => { if (typeof what === 'number') res.statusCode = what; res.end(typeof what === 'number' ? '' : what) }
  const next = (err) => { res.statusCode = 400; res.end(String(err && err.message || err)) }
  const [, place, variant] = url.pathname.split('/')
  const base = 'http://' + req.headers.host
  if (place === 'sso') return sso(variant)(req, res, next)
  if (place === 'metadata') {
    return samlp.metadata({
      issuer, cert: set.cert, redirectEndpointPath: '/sso/' + variant, postEndpointPath: '/sso/' + variant,
      logoutEndpointPaths: { redirect: '/logout', post: '/logout' },
    })(req, res, next)
  }
  return samlp.logout({
    ...both, deflate: true, protocolBinding: 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect', destination: set.slo,
    sessionParticipants: new Participants([{ ...jane }]), store,
  })(req, res, next)
})
server.listen(0, 'localhost', () => process.stdout.write(JSON.stringify({ url: 'http://localhost:' + server.address().port }) + '\n'))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))

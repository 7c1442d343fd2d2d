// Starts WorkOS' own emulator with two people, prints its address as one line of
// JSON, and ends with its standard input. The argument is the directory of the
// packages.
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

console.warn = console.info = () => {} // one line is all that is read
const { createEmulator } = await import(pathToFileURL(process.argv[2] + '/workos/dist/emulate/index.js').href)
const port = await new Promise((done, fail) => {
  const s = createServer().on('error', fail)
  s.listen(0, 'localhost', () => {
    const { port } = s.address()
    s.close(() => done(port))
  })
})
const { url, apiKey } = await createEmulator({
  port,
  seed: {
    users: [
      { email: 'jane@example.com', first_name: 'Janet', last_name: 'Doe', email_verified: true },
      { email: 'nina@example.com', first_name: 'Nina', last_name: 'New', email_verified: true },
    ],
  },
})
console.log(JSON.stringify({ url, apiKey }))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))

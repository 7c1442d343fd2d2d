// Verifies the JWTs that come in, one a line, by the key set at the URL that is
// the first argument, and answers each with a line of JSON: the claims, or why
// not. The second argument is the issuer, the third the audience.
import { createInterface } from 'node:readline'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [url, issuer, audience] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(url), { cooldownDuration: 0 })
for await (const token of createInterface({ input: process.stdin })) {
  let answer
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience })
    answer = { claims: payload, header: protectedHeader }
  } catch (e) {
    answer = { error: `${e.code}: ${e.message}` }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}

// What the scripts with client libraries have in common: they say what they need
// of the world in lines of JSON, and are answered by one each.
import { createInterface } from 'node:readline'
import assert from 'node:assert/strict'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export async function ask(what) {
  process.stdout.write(JSON.stringify(what) + '\n')
  return JSON.parse((await lines.next()).value)
}

export async function done(what) {
  process.stdout.write(JSON.stringify({ done: what }) + '\n')
  process.exit(0)
}

// refused demands that a promise is rejected, by a refusal of the server's that
// has this code.
export async function refused(code, promise) {
  try {
    await promise
  } catch (err) {
    assert.equal(err.error ?? err.cause?.error ?? err.message, code)
    return
  }
  assert.fail(`was not refused with ${code}`)
}

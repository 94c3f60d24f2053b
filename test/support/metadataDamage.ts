/** Everything that may happen to a file of metadata: each bit, each cut, each line missing or doubled. */

/** A file that is not what was written. */
export interface Damage {
  readonly what: string
  readonly content: Uint8Array
}

const flips = function*(bytes: Uint8Array): Generator<Damage> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const content = Uint8Array.from(bytes)
    content[bit >> 3] = (content[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    yield { what: `bit ${bit}`, content }
  }
}

const cuts = function*(bytes: Uint8Array): Generator<Damage> {
  for (let length = 0; length < bytes.length; length++) {
    yield { what: `cut to ${length} bytes`, content: bytes.slice(0, length) }
  }
}

/** Where each line begins; a last one that does not end counts. */
const beginnings = (bytes: Uint8Array): ReadonlyArray<number> =>
  Array.from(bytes.keys()).filter((at) => at === 0 || bytes[at - 1] === 0x0a)

const lines = function*(bytes: Uint8Array): Generator<Damage> {
  const begins = beginnings(bytes)
  for (const [line, begin] of begins.entries()) {
    const end = begins[line + 1] ?? bytes.length
    const without = [bytes.subarray(0, begin), bytes.subarray(end)]
    yield { what: `without line ${line + 1}`, content: Uint8Array.from(Buffer.concat(without)) }
    const twice = [bytes.subarray(0, end), bytes.subarray(begin)]
    yield { what: `line ${line + 1} twice`, content: Uint8Array.from(Buffer.concat(twice)) }
  }
}

/** All of them, each once. */
export const damages = function*(bytes: Uint8Array): Generator<Damage> {
  yield* flips(bytes)
  yield* cuts(bytes)
  yield* lines(bytes)
}

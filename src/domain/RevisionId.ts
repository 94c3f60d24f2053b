/**
 * The name of a revision: a shortuuid as the ancestor makes them, 22 characters without those that look alike.
 */
import * as Schema from "effect/Schema"

const ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
const LENGTH = 22

/** Decodes the name of a revision. It is one safe path component by construction. */
export const RevisionId = Schema.String.pipe(
  Schema.pattern(new RegExp(`^[${ALPHABET}]{${LENGTH}}$`)),
  Schema.brand("RevisionId")
).annotations({
  identifier: "RevisionId",
  message: () => ({
    message: `expected a revision's id: ${LENGTH} letters and digits without 0, 1, I, O and l`,
    override: true
  })
})
export type RevisionId = typeof RevisionId.Type

/** Whether the value is the name of a revision. */
export const isRevisionId: (value: unknown) => value is RevisionId = Schema.is(RevisionId)

/** The id that 16 random bytes spell, as Python's shortuuid spells a UUID: base 57, most significant digit first. */
export const fromRandom = (bytes16: Uint8Array): RevisionId => {
  if (bytes16.length !== 16) throw new RangeError(`a revision id is made of 16 bytes, not ${bytes16.length}`)
  let number = 0n
  for (const byte of bytes16) number = number << 8n | BigInt(byte)
  let text = ""
  for (let i = 0; i < LENGTH; i++) {
    text = ALPHABET[Number(number % BigInt(ALPHABET.length))]! + text
    number /= BigInt(ALPHABET.length)
  }
  // 22 digits of that alphabet hold 128 bits: what the schema demands holds by construction.
  return text as RevisionId
}

/**
 * The last line of a metadata file: the BLAKE3-256 of all bytes that precede it (docs/format.md). So a file that was cut,
 * or of which a line or a bit is another one, is not mistaken for what was written.
 */
import * as Hash from "./hash.ts"

/** What the line begins with: in YAML a comment, so that other readers do not see it; in files of plain lines a word. */
export type Word = "# digest " | "digest "

const DIGITS = 2 * Hash.DIGEST_LENGTH

/** What a file's last line says of the file. `Absent`: it is no digest; nothing is known then. */
export type Opened =
  | { readonly _tag: "Whole"; readonly body: Uint8Array }
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Wrong"; readonly reason: string }

const lineOf = (word: Word, body: Uint8Array): Uint8Array =>
  new TextEncoder().encode(`${word}${Hash.toHex(Hash.load().hash(body))}\n`)

/** The whole file: what it says, whose last byte is a line feed (or nothing at all), and its digest. */
export const seal = (word: Word, body: Uint8Array): Uint8Array => {
  const line = lineOf(word, body)
  const bytes = new Uint8Array(body.length + line.length)
  bytes.set(body)
  bytes.set(line, body.length)
  return bytes
}

/** Looks at a file's last line. The body is a view of the bytes given. */
export const open = (word: Word, bytes: Uint8Array): Opened => {
  const body = bytes.subarray(0, Math.max(0, bytes.length - word.length - DIGITS - 1))
  if (Buffer.compare(lineOf(word, body), bytes.subarray(body.length)) === 0) {
    return isWholeLines(body) ? { _tag: "Whole", body } : wrong("its digest does not stand in a line of its own")
  }
  const last = bytes.lastIndexOf(LINE_FEED, bytes.length - 2) + 1
  const begin = new TextDecoder().decode(bytes.subarray(last, last + word.length))
  if (begin !== word) return { _tag: "Absent" }
  return wrong(
    bytes.length - last === word.length + DIGITS + 1
      ? "it was changed since it was written (its digest differs)"
      : "its last line, the digest, is not whole"
  )
}

/** What is wrong with a file that must have a digest, when it has none. */
export const ABSENT = "it does not end with its digest"

const LINE_FEED = 0x0a

const isWholeLines = (body: Uint8Array): boolean => body.length === 0 || body.at(-1) === LINE_FEED

const wrong = (reason: string): Opened => ({ _tag: "Wrong", reason })

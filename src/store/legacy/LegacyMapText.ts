/**
 * Scanner for the text of a legacy chunk map: JSON, but only the JSON that such a map can consist of. It knows the two
 * keys, decimal chunk numbers and hexadecimal ids; escapes, other keys and other types are damage.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"

/** A map file that is damaged or none at all: what it names is unknown. */
export class LegacyMapInvalid extends Data.TaggedError("LegacyMapInvalid")<{
  readonly problem: string
  /** Where in the file, in bytes, if it is in one place. */
  readonly offset?: number
}> {
  override get message() {
    const where = this.offset === undefined ? "" : ` at byte ${this.offset}`
    return `the legacy chunk map is damaged${where}: ${this.problem}`
  }
}

/** A map's content in the order of the file. */
export interface Scanned {
  /** Bytes of the image. */
  readonly size: number
  readonly entries: number
  /** The chunk number of each entry, and its id in 16 bytes. */
  readonly keys: Float64Array
  readonly ids: Uint8Array
}

/** Scans a map's text. Only the syntax is checked. */
export const scan = (bytes: Uint8Array): Either.Either<Scanned, LegacyMapInvalid> => {
  try {
    return Either.right(new Scanner(bytes).map())
  } catch (cause) {
    // only `Scanner.fail` throws this; anything else is a bug
    if (cause instanceof LegacyMapInvalid) return Either.left(cause)
    throw cause
  }
}

const code = (character: string): number => character.charCodeAt(0)
const QUOTE = code("\"")
const COMMA = code(",")
const COLON = code(":")
const OPEN = code("{")
const CLOSE = code("}")
const ZERO = code("0")
const NINE = code("9")

/** The value of a hexadecimal digit (lower case) by its character code; negative for any other byte. */
const nibbles = Int8Array.from({ length: 256 }, (_, byte) => "0123456789abcdef".indexOf(String.fromCharCode(byte)))

/** The shortest entry, with a one-digit key. */
const ENTRY_LENGTH = `"0":"${"0".repeat(32)}"`.length

class Scanner {
  private readonly bytes: Uint8Array
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** The whole file: two members in either order (Python before 3.6 shuffled them), then nothing. */
  map(): Scanned {
    // upstream insists on these two bytes without a space between, to tell a map from an image
    if (this.bytes[0] !== OPEN || this.bytes[1] !== QUOTE) this.fail("it does not begin with {\"")
    this.at = 1
    let mapping: Omit<Scanned, "size"> | undefined
    let size: number | undefined
    do {
      const key = this.word()
      this.token(COLON)
      if (key === "mapping" && mapping === undefined) mapping = this.mapping()
      else if (key === "size" && size === undefined) {
        this.space()
        size = this.number()
      } else this.fail(`the key "${key}" is not expected here`)
    } while (this.oneOf(COMMA, CLOSE) === COMMA)
    this.space()
    if (this.at < this.bytes.length) this.fail("something follows the end")
    if (mapping === undefined || size === undefined) this.fail("it lacks its mapping or its size")
    return { size, ...mapping }
  }

  private mapping(): Omit<Scanned, "size"> {
    const capacity = Math.floor((this.bytes.length - this.at) / ENTRY_LENGTH)
    const keys = new Float64Array(capacity)
    const ids = new Uint8Array(capacity * 16)
    let entries = 0
    this.token(OPEN)
    this.space()
    if (this.bytes[this.at] === CLOSE) this.at++
    else {
      do {
        this.token(QUOTE)
        const key = this.number()
        this.expect(QUOTE)
        this.token(COLON)
        this.token(QUOTE)
        this.id(ids, entries * 16)
        this.expect(QUOTE)
        keys[entries++] = key
      } while (this.oneOf(COMMA, CLOSE) === COMMA)
    }
    return { entries, keys: keys.subarray(0, entries), ids: ids.subarray(0, entries * 16) }
  }

  /** 32 hexadecimal digits, packed into `ids` at `to`. */
  private id(ids: Uint8Array, to: number): void {
    const { at, bytes } = this
    if (bytes.length - at < 32) this.fail("it ends within a chunk's name")
    let wrong = 0
    for (let i = 0; i < 32; i += 2) {
      const value = nibbles[bytes[at + i]!]! << 4 | nibbles[bytes[at + i + 1]!]!
      wrong |= value
      ids[to + (i >> 1)] = value
    }
    if (wrong < 0) this.fail("a chunk's name is not 32 hexadecimal digits")
    this.at += 32
  }

  /** A whole number without sign, fraction or leading zeros, exact in a double. */
  private number(): number {
    const start = this.at
    let value = 0
    for (;; this.at++) {
      const byte = this.bytes[this.at]
      if (byte === undefined || byte < ZERO || byte > NINE) break
      value = value * 10 + (byte - ZERO)
      if (value > Number.MAX_SAFE_INTEGER) this.fail("a number is too large")
    }
    const digits = this.at - start
    if (digits === 0 || (digits > 1 && this.bytes[start] === ZERO)) this.fail("a plain decimal number is expected")
    return value
  }

  /** A short word of lower-case letters in quotes. */
  private word(): string {
    this.token(QUOTE)
    const start = this.at
    while (this.at - start < 16 && this.bytes[this.at] !== QUOTE && this.at < this.bytes.length) this.at++
    const word = Buffer.from(this.bytes.subarray(start, this.at)).toString("latin1").replace(/[^a-z]/g, "?")
    this.expect(QUOTE)
    return word
  }

  /** Takes a byte that may stand behind white space. */
  private token(byte: number): void {
    this.space()
    this.expect(byte)
  }

  private oneOf(first: number, second: number): number {
    this.space()
    const found = this.bytes[this.at]
    if (found !== first && found !== second) {
      this.fail(`'${String.fromCharCode(first)}' or '${String.fromCharCode(second)}' is expected`)
    }
    this.at++
    return found
  }

  private expect(byte: number): void {
    if (this.bytes[this.at] !== byte) this.fail(`'${String.fromCharCode(byte)}' is expected`)
    this.at++
  }

  private space(): void {
    for (;; this.at++) {
      const byte = this.bytes[this.at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
    }
  }

  private fail(problem: string): never {
    throw new LegacyMapInvalid({ problem, offset: this.at })
  }
}

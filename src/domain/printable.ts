/**
 * Text that others wrote, made fit for a terminal: the one place that says what must not reach one. A name, a tag or an
 * error of a hostile repository can then neither steer the terminal, nor forge a line, nor show words in another order.
 */

/** Control characters, line and paragraph separators, marks that turn the direction of writing, halves of characters. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/gu

/** Nearly every text: thousands of cells are looked at for a table of a thousand jobs. */
const PLAIN = /^[ -~]*$/

const codeOf = (character: string): string => character.charCodeAt(0).toString(16).padStart(4, "0")

/** All of them are in the basic plane, or halves of what is not. */
const escape = (character: string): string => {
  const code = codeOf(character)
  return code.startsWith("00") ? `\\x${code.slice(2)}` : `\\u${code}`
}

/** One line: a line break in it is shown as `\x0a`, an escape as `\x1b`, a change of direction as `\u202e`. */
export const printable = (text: string): string => PLAIN.test(text) ? text : text.replace(UNSAFE, escape)

/** The same for a text that has lines of its own. */
export const printableLines = (text: string): ReadonlyArray<string> => text.split("\n").map(printable)

/**
 * For JSON, and YAML whose strings are in double quotes where they need be: what is unsafe becomes `\u202e`, which readers
 * take back. Line breaks stay: in such a text they are between values.
 */
export const escaped = (text: string): string =>
  text.replace(UNSAFE, (character) => character === "\n" ? character : `\\u${codeOf(character)}`)

/** Whether a text has something in it that `printable` would show otherwise. */
export const isUnsafe = (text: string): boolean => !PLAIN.test(text) && text.search(UNSAFE) >= 0

/**
 * The YAML of a status file without a YAML parser, when it is plainly what the daemon writes: `check` is run every few
 * minutes, and the parser takes a millisecond for each job. What is read here means the same to the parser; everything
 * else is left to that. Pure.
 */

/** Letters, which YAML takes for a text. */
export const PLAIN = /^[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z(][A-Za-z0-9_.()/-]*)*$/
/** … but for these, which one version of YAML or another takes for something else. */
export const WORDS = /^(y|n|yes|no|on|off|true|false|null|nan|inf)$/i
export const INSTANT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00:00$/

const NUMBER = /^(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/
/** Without anything that is escaped. */
const QUOTED = /^"[ !#-[\]-~]*"$/
const LINE = /^(- |  )([a-z][a-z_]*): (\S.*)$/

const scalar = (text: string): string | number | null | undefined => {
  if (text === "null") return null
  if (QUOTED.test(text)) return text.slice(1, -1)
  if (NUMBER.test(text)) return Number(text)
  return INSTANT.test(text) || (PLAIN.test(text) && !WORDS.test(text)) ? text : undefined
}

/** The list of what is said of each job; `undefined` when that takes a parser to say. */
export const read = (text: string): ReadonlyArray<Readonly<Record<string, string | number | null>>> | undefined => {
  if (!text.endsWith("\n")) return undefined
  const jobs: Array<Record<string, string | number | null>> = []
  for (const line of text.slice(0, -1).split("\n")) {
    const [, begin, key = "", rest = ""] = LINE.exec(line) ?? []
    const value = scalar(rest)
    if (begin === undefined || value === undefined || WORDS.test(key)) return undefined
    if (begin === "- ") jobs.push({})
    const job = jobs.at(-1)
    if (job === undefined || Object.hasOwn(job, key)) return undefined
    job[key] = value
  }
  return jobs
}

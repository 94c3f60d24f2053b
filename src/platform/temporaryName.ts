/**
 * Names of files that are still being written. They begin with a dot, say what they will become, and are recognised by
 * purge, which collects those that killed runs left behind.
 */

const pattern = /^\..+\.[0-9a-z]{12}\.tmp$/

/** The longest name that Linux file systems take, in bytes. */
const MAX_NAME = 255

/**
 * The temporary name for `name`: `.NAME.UNIQUE.tmp`. `unique` must be 12 characters of 0–9 and a–z, random. A name that
 * would become too long is cut.
 */
export const temporaryName = (name: string, unique: string): string => {
  const suffix = `.${unique}.tmp`
  let kept = name
  while (Buffer.byteLength(kept) + 1 + suffix.length > MAX_NAME) kept = kept.slice(0, -1)
  return `.${kept}${suffix}`
}

/** Was this name made by `temporaryName`? */
export const isTemporary = (name: string): boolean => pattern.test(name)

/** Makes the unique part from 12 random numbers in [0, 36). */
export const uniqueFrom = (next: () => number): string => {
  let unique = ""
  for (let i = 0; i < 12; i++) unique += next().toString(36)
  return unique
}

/**
 * Tags say which intervals of the schedule a revision stands for. Those that begin with `manual:` are made by hand: no
 * schedule knows them and retention leaves them alone.
 */
import * as Schema from "effect/Schema"
import { printable } from "./printable.ts"

/** What the tags made by hand begin with. */
export const MANUAL = "manual:"

/** Whether the tag is one made by hand. */
export const isManual = (tag: string): boolean => tag.startsWith(MANUAL)

/** What keeps the text from being a new tag, if anything does: it has to survive in lists and revision specs. */
export const problem = (text: string): string | undefined => {
  if (text === "" || text === MANUAL) return "a tag needs a name"
  if (new TextEncoder().encode(text).length > 255) return "a tag is at most 255 bytes long"
  if (/[\s,&()\p{Cc}]|\.\./u.test(text)) {
    return `a tag has no spaces, commas, "&", brackets and no "..": "${printable(text)}"`
  }
  return undefined
}

/** A tag as new revisions and schedules may have it. */
export const Tag = Schema.String.pipe(
  Schema.filter((text) => problem(text) ?? true)
).annotations({ identifier: "Tag" })

import { resolve } from "node:path"

/** The absolute path of what a user named. A slash at its end stays: it says that a directory is meant. */
export const absolute = (name: string): string =>
  /\/\.?$/.test(name) && resolve(name) !== "/" ? `${resolve(name)}/` : resolve(name)

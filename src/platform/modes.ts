/** File systems that keep modes as they are (bindfs --chmod-deny, some network and foreign ones). */
import * as Effect from "effect/Effect"

/** A process is one run of one command on one repository: it tells of it once. */
let isTold = false

/** Warns, the first time in this process. */
export const tellModeRefused = (path: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (isTold) return Effect.void
    isTold = true
    return Effect.logWarning(
      `the file system of ${path} does not let modes be changed: new files have the mode that the umask leaves`
    )
  })

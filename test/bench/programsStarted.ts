/** How many programs a backup of an RBD image starts. */
import * as FS from "node:fs"
import { type Command, run } from "./measure.ts"

/** Runs a backy command once more, with programs in the place of `rbd` and `qemu-nbd` that are counted. */
export const programsStarted = (folder: string, command: Command): number => {
  const log = `${folder}/started`
  FS.writeFileSync(log, "")
  const counting = (program: string): string => {
    const path = `${folder}/counting-${program}`
    FS.writeFileSync(path, `#!/bin/sh\necho ${program} >>${log}\nexec ${program} "$@"\n`, { mode: 0o755 })
    return path
  }
  run({
    ...command,
    env: { ...command.env, BACKY_RBD: counting("rbd"), BACKY_QEMU_NBD: counting("qemu-nbd") }
  })
  return FS.readFileSync(log, "utf8").split("\n").length - 1
}

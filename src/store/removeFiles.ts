/** What the loops do with files of which only the names count. */
import { basename } from "node:path"
import type { Disk } from "../platform/Disk.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { hexOf, isMissing } from "./chunkFile.ts"

/** Runs `call`; `undefined` when the file is not there, whoever was faster. */
const unlessMissing = <A>(call: () => A): A | undefined => {
  try {
    return call()
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw cause
  }
}

/** Removes files, links themselves and not what they lead to, or only looks. */
export const remove = (disk: Disk, { dryRun, files, repository }: Protocol.Remove): Protocol.Removed => {
  let bytes = 0
  for (const file of files) {
    const path = `${repository}/${file}`
    const stat = unlessMissing(() => disk.lstat(path))
    // a directory in a chunk's place is none of ours, and must not stop the rest
    if (stat === undefined || (stat.kind === "directory" && hexOf(basename(file)) !== undefined)) continue
    if (!dryRun) unlessMissing(() => disk.unlink(path))
    bytes += stat.size
  }
  return { bytes }
}

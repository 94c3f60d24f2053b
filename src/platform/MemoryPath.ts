/**
 * Paths of a simulated disk, looked up as Linux does it.
 */
import { errnoError } from "./errno.ts"
import { type DirectoryInode, type Ino, inodeOf, ROOT, type State } from "./MemoryState.ts"

/** Where a path leads: to `name` in `directory`, where `ino` lies or nothing yet. */
export interface Place {
  readonly directory: Ino
  readonly name: string
  readonly ino: Ino | undefined
  /** The path ends in a slash, so only a directory will do. */
  readonly slash: boolean
  /** The path ends in `/`, `.` or `..`: there is an `ino`, but no name to change. */
  readonly nameless: boolean
}

/** What to do with a link in the last place: follow it, follow it only if a slash is behind it, or never. */
export type LastLink = "follow" | "slash" | "keep"

const MAX_LINKS = 40

/** In bytes of UTF-8, of which a character takes three at most. */
const isLonger = (text: string, most: number): boolean => text.length * 3 > most && Buffer.byteLength(text) > most

/**
 * Looks a path up; relative ones start at the root. Links on the way are followed. Throws ENOENT, ENOTDIR, ELOOP,
 * ENAMETOOLONG, EINVAL for every part but the last, which may be missing.
 */
export const lookUp = (state: State, syscall: string, path: string, links: LastLink): Place => {
  const fail = (code: string) => errnoError(code, syscall, path)
  if (path.includes("\0")) throw fail("EINVAL")
  if (path === "") throw fail("ENOENT")
  if (isLonger(path, 4095)) throw fail("ENAMETOOLONG")
  const slash = path.endsWith("/")
  const ahead = path.split("/").reverse()
  const trail: Array<Ino> = [ROOT]
  let followed = 0
  const top = (): Ino => trail.at(-1) ?? ROOT
  for (;;) {
    let name = ahead.pop()
    while (name === "" || name === ".") name = ahead.pop()
    if (name === undefined) return { directory: top(), name: "", ino: top(), slash, nameless: true }
    if (name === "..") {
      if (trail.length > 1) trail.pop()
      continue
    }
    const last = ahead.every((part) => part === "")
    if (isLonger(name, 255)) throw fail("ENAMETOOLONG")
    // Only directories get onto the trail.
    const directory = inodeOf(state, top()) as DirectoryInode
    const ino = directory.entries.get(name)
    if (ino === undefined) {
      if (!last) throw fail("ENOENT")
      return { directory: top(), name, ino, slash, nameless: false }
    }
    const inode = inodeOf(state, ino)
    if (inode.kind === "symlink" && (!last || links === "follow" || (links === "slash" && slash))) {
      if (++followed > MAX_LINKS) throw fail("ELOOP")
      ahead.push(...inode.target.split("/").reverse())
      if (inode.target.startsWith("/")) trail.length = 1
    } else if (last) {
      if (slash && links !== "keep" && inode.kind !== "directory") throw fail("ENOTDIR")
      return { directory: top(), name, ino, slash, nameless: false }
    } else if (inode.kind === "directory") {
      trail.push(ino)
    } else {
      throw fail("ENOTDIR")
    }
  }
}

/** Does `ancestor` lie on the way from the root to `ino`, or is it the same? */
export const contains = (state: State, ancestor: Ino, ino: Ino): boolean => {
  if (ancestor === ino) return true
  const inode = state.inodes.get(ancestor)
  if (inode?.kind !== "directory") return false
  for (const child of inode.entries.values()) {
    if (contains(state, child, ino)) return true
  }
  return false
}

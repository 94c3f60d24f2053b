/**
 * What a simulated disk shows, as text to compare.
 */
import { createHash } from "node:crypto"
import * as Content from "./MemoryContent.ts"
import { type Ino, inodeOf, ROOT, type State } from "./MemoryState.ts"

/** Contents are shared between copies of a disk, so each is hashed once. */
const hashes = new WeakMap<Content.Content, string>()

const hashOf = (content: Content.Content): string => {
  let hash = hashes.get(content)
  if (hash === undefined) {
    const digest = createHash("sha256")
    const buffer = new Uint8Array(Content.PAGE)
    for (let data = Content.nextData(content, 0); data !== undefined;) {
      const end = data.offset + data.length
      for (let position = data.offset; position < end; position += Content.PAGE) {
        const page = buffer.subarray(0, Content.read(content, buffer, position))
        // Zeros are the same whether written or not.
        if (page.some((byte) => byte !== 0)) digest.update(`${position}:`).update(page)
      }
      data = Content.nextData(content, end)
    }
    hash = digest.digest("hex").slice(0, 16)
    hashes.set(content, hash)
  }
  return hash
}

/** Everything visible, sorted: path, kind, mode, and size with a hash of the content, or the target. */
export const describe = (state: State): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const visit = (ino: Ino, path: string): void => {
    const inode = inodeOf(state, ino)
    const head = `${path === "" ? "/" : path} ${inode.kind} ${inode.mode.toString(8)}`
    if (inode.kind === "directory") {
      lines.push(head)
      for (const [name, child] of Array.from(inode.entries).sort(([a], [b]) => a < b ? -1 : 1)) {
        visit(child, `${path}/${name}`)
      }
    } else if (inode.kind === "symlink") {
      lines.push(`${head} ${inode.target}`)
    } else {
      lines.push("content" in inode ? `${head} ${inode.content.size} ${hashOf(inode.content)}` : head)
    }
  }
  visit(ROOT, "")
  return lines
}

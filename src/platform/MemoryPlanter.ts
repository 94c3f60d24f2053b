/**
 * Puts things onto a simulated disk that are there before a test begins, durable at once.
 */
import * as Chunk from "effect/Chunk"
import { errnoError } from "./errno.ts"
import * as Content from "./MemoryContent.ts"
import { lookUp } from "./MemoryPath.ts"
import { type DirectoryInode, type Ino, type Inode, inodeOf, type OtherInode, type State } from "./MemoryState.ts"

export interface Planter {
  /** A file; replaces what is there. Missing directories above it are made. */
  readonly plantFile: (path: string, bytes: Uint8Array, mode?: number) => void
  /** A directory, with those above it. Nothing happens if it is there. */
  readonly plantDirectory: (path: string) => void
  /** A symbolic link. */
  readonly plantLink: (target: string, path: string) => void
  /** A block device of `size` zero bytes. */
  readonly plantDevice: (path: string, size: number) => void
  /** A thing that can be looked at, and no more: a pipe unless told. */
  readonly plantOther: (path: string, kind?: OtherInode["kind"]) => void
}

/** Plants into `state`. */
export const makePlanter = (state: State, now: () => bigint): Planter => {
  const plant = (path: string, inode: Inode): void => {
    const cut = path.replace(/\/+$/, "").lastIndexOf("/")
    if (cut > 0) plantDirectory(path.slice(0, cut))
    const place = lookUp(state, "open", path, "keep")
    if (place.nameless) throw errnoError("EEXIST", "open", path)
    const ino = state.nextIno++
    state.inodes.set(ino, inode)
    // lookUp gives no other kind.
    const directory = inodeOf(state, place.directory) as DirectoryInode
    const withNew = (entries: ReadonlyMap<string, Ino>) => new Map(entries).set(place.name, ino)
    state.inodes.set(place.directory, {
      ...directory,
      entries: withNew(directory.entries),
      durable: withNew(directory.durable)
    })
  }
  const times = () => {
    const time = now()
    return { mtimeNs: time, ctimeNs: time }
  }
  const plantData = (kind: "file" | "block-device", path: string, content: Content.Content, mode: number): void =>
    plant(path, {
      kind,
      ...times(),
      mode,
      nlink: 1,
      content,
      durable: { content, mode },
      pending: Chunk.empty(),
      failures: { count: 0, code: "EIO" },
      deluded: false
    })
  const plantDirectory = (path: string): void => {
    const { ino } = path === "" ? { ino: 0 } : findOrUndefined(path)
    if (ino === undefined) {
      plant(path, { kind: "directory", ...times(), mode: 0o755, entries: new Map(), durable: new Map() })
    }
  }
  const findOrUndefined = (path: string): { readonly ino: Ino | undefined } => {
    try {
      return lookUp(state, "open", path, "follow")
    } catch {
      return { ino: undefined }
    }
  }
  return {
    plantDirectory,
    plantFile: (path, bytes, mode = 0o644) =>
      plantData("file", path, Content.write(Content.empty, bytes.slice(), 0), mode),
    plantLink: (target, path) => plant(path, { kind: "symlink", ...times(), mode: 0o777, target }),
    plantDevice: (path, size) => plantData("block-device", path, Content.truncate(Content.empty, size), 0o660),
    plantOther: (path, kind = "pipe") => plant(path, { kind, ...times(), mode: 0o644 })
  }
}
